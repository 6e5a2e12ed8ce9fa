package web_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// looked are the views that a browser looks at: the place below the registry's, and a selector of what shows that the view is
// whole.
var looked = []struct {
	name  string
	path  func(*testing.T, *world) string
	whole string
	title string // what the browser's tab begins with
}{
	{"fleet", at(""), "table.fleet td.healthy", "Fleet · "},
	{"release", at("/releases/production/iris"), "main h1", "production/iris · release · "},
	{"diff", at("/releases/production/iris/diff"), "main h1", "production/iris · diff · "},
	{"timeline", at("/timeline"), "svg.strip", "Timeline · "},
	{"models", at("/models"), "table.models td", "Models · "},
	{"model", at("/models/iris"), "table.versions td", "iris · model · "},
	{"trainings", at("/trainings"), "table.runs td", "Trainings · "},
	{"run", func(t *testing.T, w *world) string { return "/trainings/iris/softmax/" + w.run(t) }, "#log", "softmax-"},
	{"gpus", at("/gpus"), "table.numbers meter", "GPUs · "},
}

func at(path string) func(*testing.T, *world) string {
	return func(*testing.T, *world) string { return path }
}

// TestBrowser looks at each view in a wide and a narrow window, light and dark: nothing goes wrong in it, it can be used by
// everybody, and it fits. DAVIT_SCREENSHOTS names a folder that keeps pictures.
func TestBrowser(t *testing.T) {
	source := axe(t)
	w := look(t)
	b := open(t)
	for _, view := range looked {
		path := view.path(t, w)
		for _, width := range []int64{1400, 400} {
			for _, scheme := range []string{"light", "dark"} {
				t.Run(fmt.Sprintf("%s/%s/%d", view.name, scheme, width), func(t *testing.T) {
					b.t = t
					b.at(w.url+"/"+name+path, scheme, width, view.whole)
					faults := b.accessible(source)
					if fault := b.fits(); fault != "" {
						faults = append(faults, fault)
					}
					b.picture(fmt.Sprintf("%s-%s-%d", view.name, scheme, width))
					for _, fault := range append(faults, b.heard()...) {
						t.Error(fault)
					}
				})
			}
		}
	}
}

// TestBrowserHears is the other test's test: what goes wrong in a page is heard.
func TestBrowserHears(t *testing.T) {
	source := axe(t)
	b := open(t)
	b.at(faultyPage(t), "light", 400, "#whole")
	faults := append(b.accessible(source), b.fits())
	all := fmt.Sprint(append(faults, b.heard()...))
	for _, want := range []string{"console: \"broken\"", "exception: ", "dialog: taken", "Content Security Policy", "404", "axe: image-alt", "wider than the window"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q was not heard in %s", want, all)
		}
	}
}

// TestBrowserLog: a run's log is in its page once, whether the server wrote it there or the stream went on from there.
func TestBrowserLog(t *testing.T) {
	w := look(t)
	b := open(t)
	b.at(w.url+"/"+name+"/trainings/iris/softmax/"+w.run(t), "light", 1400, "#log")
	const ended = `document.getElementById("logstate").textContent.startsWith("ended")`
	var count int
	lines := chromedp.Evaluate(`document.getElementById("log").textContent.trim().split("\n").length`, &count)
	b.do(chromedp.Poll(ended, nil, chromedp.WithPollingTimeout(time.Minute)), lines)
	if count != len(written) {
		t.Errorf("%d lines, want %d", count, len(written))
	}
	b.do(chromedp.Evaluate(`{
		const log = document.getElementById("log");
		log.textContent = "", delete log.dataset.after, document.getElementById("logstate").textContent = "";
		follow(log);
	}`, nil), chromedp.Poll(ended, nil, chromedp.WithPollingTimeout(time.Minute)), lines)
	if count != len(written) {
		t.Errorf("by the stream alone %d lines, want %d", count, len(written))
	}
	for _, fault := range b.heard() {
		t.Error(fault)
	}
}
