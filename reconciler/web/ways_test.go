package web_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// still are the views of what no cluster serves: the place below the registry's, and a selector of what shows that the view is
// whole.
var still = []struct{ name, path, whole string }{
	{"fleet", "", "table.fleet td.moving"}, {"release", "/releases/production/iris", "main h1"}, {"diff", "/releases/staging/iris/diff", "main h1"},
	{"timeline", "/timeline", "svg.strip"}, {"models", "/models", "table.models td"}, {"model", "/models/iris", "table.versions td"},
	{"trainings", "/trainings", "table.runs td"}, {"gpus", "/gpus", "main h2"},
}

// media sets what the browser's user prefers; for what is not named the browser has its own.
func (b *browser) media(medium string, features ...*emulation.MediaFeature) {
	b.t.Helper()
	b.do(emulation.SetEmulatedMedia().WithMedia(medium).WithFeatures(features))
}

// TestWithoutScript: with no script each view tells all it has, and what one asks of it is a form.
func TestWithoutScript(t *testing.T) {
	url := aged(t)
	b := open(t)
	b.do(emulation.SetScriptExecutionDisabled(true), chromedp.EmulateViewport(1400, 900))
	for _, view := range still {
		t.Run(view.name, func(t *testing.T) {
			b.t = t
			b.do(chromedp.Navigate(url+view.path), chromedp.WaitReady(view.whole))
			if live := b.tells(`document.querySelector(".live").checkVisibility()`); live != "false" {
				t.Error("it says that it is live, or that it is not")
			}
			if b.tells(`document.querySelector("[tabindex='-1']:not(main)") === null`) != "true" {
				t.Error("Tab does not get everywhere")
			}
			b.picture("plain-" + view.name)
		})
	}
	t.Run("find", func(t *testing.T) {
		b.t = t
		b.do(chromedp.Navigate(url+"/models"), chromedp.WaitReady("table.models"), chromedp.Focus("#find"))
		b.press("large", kb.Enter)
		b.comes(`[...document.querySelectorAll("table.fleet tbody th")].map((e) => e.firstChild.textContent.trim())`, "large")
	})
	t.Run("filter", func(t *testing.T) {
		b.t = t
		for path, field := range map[string][2]string{
			"": {"environment", "production"}, "/timeline": {"environment", "staging"}, "/models": {"q", "iris"}, "/trainings": {"model", "iris"},
			"/releases/staging/iris/diff": {"view", "lines"}, "/models/iris": {"version", "v1"},
		} {
			b.do(chromedp.Navigate(url+path), chromedp.WaitReady(".filters"))
			if path == "/models/iris" { // its versions are links
				b.do(chromedp.Click(`//table[contains(@class, "versions")]//th/a[text()="v1"]`))
			} else {
				b.do(chromedp.SetValue(".filters [name="+field[0]+"]", field[1]), chromedp.Click(".filters button"))
			}
			b.comes(fmt.Sprintf("new URLSearchParams(location.search).get(%q)", field[0]), field[1])
			b.do(chromedp.WaitReady(".filters"))
		}
	})
}

// paper is how wide A4 is between its margins, in CSS pixels.
const paper = 718

// clipped are elements whose text goes beyond the paper, or is cut off by what holds it.
const clipped = `[...document.querySelectorAll("main *")].filter((e) => e.checkVisibility() && !e.closest(".hidden, details:not([open]) > :not(summary)") && (
	e.getBoundingClientRect().right > document.documentElement.clientWidth + 1 ||
	getComputedStyle(e).overflowX !== "visible" && e.scrollWidth > e.clientWidth + 1 && !e.closest("svg, input, select, meter")
)).map((e) => e.outerHTML.slice(0, 120)).slice(0, 3).join("\n")`

// TestPrint: on paper each view is dark on light, whatever the screen is, without what is to be clicked, and with nothing cut off.
// DAVIT_SCREENSHOTS names a folder that keeps it as PDF.
func TestPrint(t *testing.T) {
	url := aged(t)
	b := open(t)
	for _, view := range still {
		t.Run(view.name, func(t *testing.T) {
			b.t = t
			b.at(url+view.path, "dark", paper, view.whole)
			b.media("print", &emulation.MediaFeature{Name: "prefers-color-scheme", Value: "dark"})
			for what, want := range map[string]string{
				`getComputedStyle(document.body).backgroundColor`: "rgb(255, 255, 255)", `getComputedStyle(document.body).color`: "rgb(27, 31, 36)",
				`[...document.querySelectorAll(".top, .filters, .zooms, form, input, select, button")].filter((e) => e.checkVisibility()).length`:                "0",
				`[...document.querySelectorAll("main a[href]")].filter((e) => e.checkVisibility() && getComputedStyle(e).color === "rgb(255, 255, 255)").length`: "0",
				clipped: "",
			} {
				if got := b.tells(what); got != want {
					t.Errorf("%s is %q, want %q", what, got, want)
				}
			}
			var pdf []byte
			b.do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
				pdf, _, err = page.PrintToPDF().WithPaperWidth(8.27).WithPaperHeight(11.69).Do(ctx)
				return err
			}))
			if folder := os.Getenv(screenshots); folder != "" {
				if err := os.WriteFile(filepath.Join(folder, "print-"+view.name+".pdf"), pdf, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestLooks looks at each view as those see it who have it large, in their own colours, or very narrow.
func TestLooks(t *testing.T) {
	source := axe(t)
	url := aged(t)
	b := open(t)
	for _, view := range still {
		for _, look := range []struct {
			name   string
			width  int64
			height int64
			large  float64
			colors []*emulation.MediaFeature
		}{
			{"doubled", 640, 360, 2, nil},
			{"narrowest", 320, 640, 1, nil}, // WCAG 2.2, 1.4.10: 1280 at 400 %
			{"contrast", 1400, 900, 1, []*emulation.MediaFeature{{Name: "forced-colors", Value: "active"}, {Name: "prefers-color-scheme", Value: "dark"}}},
		} {
			t.Run(view.name+"/"+look.name, func(t *testing.T) {
				b.t = t
				b.at(url+view.path, "light", look.width, view.whole)
				b.do(chromedp.EmulateViewport(look.width, look.height, chromedp.EmulateScale(look.large)))
				if look.colors != nil {
					b.media("", look.colors...)
				}
				var faults []string
				if look.name == "narrowest" {
					faults = b.accessible(source)
				}
				if fault := b.fits(); fault != "" {
					faults = append(faults, fault)
				}
				if room := b.tells(`getComputedStyle(document.querySelector(".top")).position === "sticky" ? innerHeight / document.querySelector(".top").offsetHeight > 6 : true`); room != "true" {
					faults = append(faults, "the bar takes the room of what is below it")
				}
				b.picture(view.name + "-" + look.name)
				for _, fault := range append(faults, b.heard()...) {
					t.Error(fault)
				}
			})
		}
	}
}
