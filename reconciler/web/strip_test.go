package web_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// aged is a registry with a commit every second hour of the last day, behind its page. No cluster serves it.
func aged(t *testing.T) (url string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../examples/iris/registry")); err != nil {
		t.Fatal(err)
	}
	git := func(at time.Time, args ...string) {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com",
			"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com", "GIT_COMMITTER_DATE="+at.Format(time.RFC3339))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	write := func(name, text string) {
		t.Helper()
		err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	const head = "apiVersion: davit.dev/v1alpha1\nkind: "
	write("releases/iris/production.yaml", head+"Release\nspec: {version: v2}\n")
	write("releases/large/serving.yaml", head+"Serving\nspec: {model: iris, runtime: iris-server, args: {model-name: iris}}\n")
	write("releases/large/staging.yaml", head+"Release\nspec: {version: v1}\n")
	write("models/iris/training/yearly.yaml", head+"Training\nspec:\n  environment: staging\n  image: registry.example.com/train@sha256:"+strings.Repeat("2", 64)+"\n"+
		"  schedule: {cron: '0 0 1 1 *', timezone: Europe/Rome}\n  datasets: [{name: flowers, uri: 'https://data.example.com/flowers.csv'}]\n")
	now := time.Now()
	git(now, "init", "-q", "-b", "main")
	git(now, "add", "-A")
	git(now.Add(-24*time.Hour), "commit", "-q", "-m", "commit 0")
	for i := 1; i < 12; i++ {
		write("models/iris/README.md", fmt.Sprintf("card %d\n", i))
		git(now.Add(time.Duration(i-12)*2*time.Hour), "commit", "-qam", fmt.Sprintf("commit %d", i))
	}
	h, _ := pastPage(t, dir)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	return server.URL + "/models"
}

// listed are the numbers of the commits that the timeline lists.
const listed = `[...document.querySelectorAll("table.timeline tbody th > span[data-told] > a")].map((a) => a.textContent.replace("commit ", "")).join(" ")`

// TestStrip goes through the timeline by its strip: by dragging, by its links, and by keys alone.
func TestStrip(t *testing.T) {
	url := aged(t)
	b := open(t)
	timeline := func() {
		t.Helper()
		b.at(url+"/timeline", "light", 1400, "svg.strip")
	}
	mark := func(i int) string { return fmt.Sprintf("svg.strip a:nth-of-type(%d)", i+1) }
	all := "11 10 9 8 7 6 5 4 3 2 1 0"

	t.Run("drag", func(t *testing.T) {
		b.t = t
		timeline()
		x3, y := b.middle(mark(3))
		x7, _ := b.middle(mark(7))
		drag := func(from, to float64) {
			b.mouse(input.MousePressed, from, y)
			b.mouse(input.MouseMoved, (from+to)/2, y+5)
			b.do(chromedp.Evaluate("refresh()", nil, awaited)) // what is dragged over stays, whatever comes
			b.mouse(input.MouseMoved, to, y)
		}
		drag(x3-20, x7+20)
		b.comes(`document.querySelectorAll(".zooming").length`, "1")
		b.picture("strip-drag")
		b.press(kb.Escape)
		b.comes(`document.querySelectorAll(".zooming").length`, "0")
		b.mouse(input.MouseReleased, x7+20, y)
		b.comes(listed, all)
		drag(x7+20, x3-20) // backwards is the same
		b.mouse(input.MouseReleased, x3-20, y)
		b.comes(listed, "7 6 5 4 3")
		if search := b.tells("location.search"); !strings.Contains(search, "since=") || !strings.Contains(search, "until=") {
			t.Errorf("the zoom is not in the URL: %s", search)
		}
		b.picture("strip-zoomed")
		b.do(chromedp.Reload())
		b.comes(listed, "7 6 5 4 3")
		b.do(chromedp.NavigateBack(), chromedp.WaitReady("#live.on"))
		b.comes(listed, all)
		drag(x3, x7+20) // a link is where it begins
		b.mouse(input.MouseReleased, x7+20, y)
		b.comes(`/^7 6 5 4( 3)?$/.test(`+listed+`)`, "true")
	})
	t.Run("click", func(t *testing.T) {
		b.t = t
		timeline()
		x, y := b.middle(mark(4))
		b.mouse(input.MousePressed, x, y)
		b.mouse(input.MouseReleased, x, y)
		b.comes(`document.querySelector("#one")?.textContent`, "commit 4")
		b.comes(`document.querySelector("svg.strip a[aria-current] title").textContent.includes("commit 4")`, "true")
		b.do(chromedp.Click(`//nav[@class="zooms"]/a[text()="12 hours" or contains(text(), "12 h")]`))
		b.comes(listed, "11 10 9 8 7")
		b.comes(`document.querySelector(".zooms [aria-current]").textContent`, "last night (12 h)")
	})
	t.Run("keys", func(t *testing.T) {
		b.t = t
		timeline()
		b.do(chromedp.Focus("#strip", chromedp.ByQuery))
		b.press(kb.Tab)
		b.comes(`document.activeElement.textContent.includes("commit 11")`, "true")
		b.comes(ringed, "ok")
		b.press(kb.ArrowLeft, kb.ArrowLeft)
		b.comes(`document.activeElement.textContent.includes("commit 9")`, "true")
		b.press(kb.Home, kb.ArrowRight)
		b.comes(`document.activeElement.textContent.includes("commit 1 ")`, "true")
		b.picture("strip-keys")
		b.press(kb.Tab) // one place in the order, however many commits there are
		b.comes(focused, "commits")
		b.do(chromedp.Evaluate(`refresh()`, nil, awaited)) // which leaves the stop where it is
		b.do(chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(input.ModifierShift)))
		b.press(kb.Enter)
		b.comes(`document.querySelector("#one")?.textContent`, "commit 1")

		timeline()
		b.do(chromedp.Evaluate(`[...document.querySelectorAll(".zooms a")].find((a) => a.textContent === "zoom in").focus()`, nil))
		for _, want := range []string{"8 7 6 5 4 3", "7 6 5"} {
			b.press(kb.Enter) // the focus is there again
			b.comes(listed, want)
			b.comes(focused, "zoom in")
		}
	})
	t.Run("close up", func(t *testing.T) { // of a few seconds
		b.t = t
		b.at(url+"/timeline?since=2026-01-01T00:00:00Z&until=2026-01-01T00:00:10Z", "light", 1400, "svg.strip")
		x, y := b.middle("svg.strip")
		b.mouse(input.MousePressed, x, y)
		b.mouse(input.MouseMoved, x+10, y)
		b.mouse(input.MouseReleased, x+10, y)
		b.comes(`document.querySelector("svg.strip").dataset.until - document.querySelector("svg.strip").dataset.since`, "1000")
	})
}
