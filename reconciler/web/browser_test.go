package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// axeVersion is the version of axe-core, which the Makefile's deps keeps in the user's cache folder.
const axeVersion = "4.14.1"

// axe is axe-core's source.
func axe(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(cache, "davit", "axe-core-"+axeVersion, "axe.min.js")
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("axe-core, which judges whether pages are accessible, is not there: %v; make deps fetches it", err)
	}
	return string(source)
}

// browser is a headless Chromium. What pages complain of is a fault of the test.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	faults []string
}

// open starts a browser for as long as the test runs. What is heard in it and not taken by heard fails the test at its end.
func open(t *testing.T) *browser {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Fatalf("the page is looked at by a real browser: %v; make deps installs it", err)
	}
	path, _ := exec.LookPath("chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.WSURLReadTimeout(2*time.Minute))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's needs another user
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{t: t}
	var within context.CancelFunc
	b.ctx, within = context.WithTimeout(ctx, 10*time.Minute)
	t.Cleanup(within)
	chromedp.ListenTarget(b.ctx, b.hear)
	b.do(network.Enable(), log.Enable(), runtime.Enable(), page.Enable())
	t.Cleanup(func() {
		for _, fault := range b.heard() {
			t.Error(fault)
		}
	})
	return b
}

// do does actions, or ends the test.
func (b *browser) do(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// hear notes what goes wrong in a page: errors on the console, exceptions, violations of the Content-Security-Policy, requests
// that fail, dialogs.
func (b *browser) hear(event any) {
	fault := ""
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning || e.Type == runtime.APITypeAssert {
			for _, a := range e.Args {
				fault += " " + string(a.Value)
			}
			fault = "console:" + fault
		}
	case *runtime.EventExceptionThrown:
		fault = "exception: " + e.ExceptionDetails.Error()
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
			fault = fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *page.EventJavascriptDialogOpening: // what is hostile opens one, and it holds the page up
		fault = "dialog: " + e.Message
		go func() { _ = chromedp.Run(b.ctx, page.HandleJavaScriptDialog(false)) }()
	case *network.EventLoadingFailed:
		if !e.Canceled { // a stream is, when the page is left
			fault = fmt.Sprintf("request failed: %s %s %s", e.Type, e.ErrorText, e.BlockedReason)
		}
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			fault = fmt.Sprintf("request failed: %d %s", e.Response.Status, e.Response.URL)
		}
	}
	if fault != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.faults = append(b.faults, fault)
	}
}

// heard are the faults since it was asked last.
func (b *browser) heard() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	faults := b.faults
	b.faults = nil
	return faults
}

// at opens a URL in a window of a width, in a light or dark scheme, and waits for what shows that it is whole.
func (b *browser) at(url, scheme string, width int64, whole string) {
	b.t.Helper()
	b.do(
		chromedp.EmulateViewport(width, 900),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}),
		chromedp.Navigate(url),
		chromedp.WaitReady(whole, chromedp.ByQuery),
		chromedp.WaitReady("#live.on, body:not(:has([data-live]))", chromedp.ByQuery),
	)
}

// violation is one of axe's.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML           string
		FailureSummary string
	}
}

// accessible has axe judge the page.
func (b *browser) accessible(source string) (faults []string) {
	b.t.Helper()
	var answer string
	b.do(chromedp.Evaluate(source+";0", nil), chromedp.Evaluate(`axe.run(document, {resultTypes: ["violations"]}).then((r) => JSON.stringify(r.violations))`, &answer,
		func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	var all []violation
	if err := json.Unmarshal([]byte(answer), &all); err != nil {
		b.t.Fatalf("%v: %s", err, answer)
	}
	for _, v := range all {
		for _, n := range v.Nodes {
			faults = append(faults, fmt.Sprintf("axe: %s (%s): %s: %s: %s", v.ID, v.Impact, v.Help, n.HTML, strings.Join(strings.Fields(n.FailureSummary), " ")))
		}
	}
	return faults
}

// fits says whether the page is no wider than the window: what is wide scrolls in a block of its own.
func (b *browser) fits() (fault string) {
	b.t.Helper()
	var wide string
	b.do(chromedp.Evaluate(`(() => {
		const room = document.documentElement.clientWidth;
		return document.documentElement.scrollWidth <= room ? "" : [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > room + 1 && !e.closest(".scroll, pre")).map((e) => e.outerHTML.slice(0, 120)).slice(0, 3).join("\n") || "the body";
	})()`, &wide))
	if wide != "" {
		return "wider than the window: " + wide
	}
	return ""
}

// screenshots names the folder that keeps pictures of what was looked at; none are kept when it is empty.
const screenshots = "DAVIT_SCREENSHOTS"

func (b *browser) picture(name string) {
	b.t.Helper()
	folder := os.Getenv(screenshots)
	if folder == "" {
		return
	}
	var png []byte
	b.do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		for range 20 { // while it goes over to another page it has no width
			if png, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).Do(ctx); err == nil {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		return err
	}))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
