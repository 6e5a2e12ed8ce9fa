package web_test

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// round goes through a page by Tab from its beginning until the focus is back there, and tells what had it. What has the focus is
// seen to have it, and lets it go.
func (b *browser) round() (stops []string) {
	b.t.Helper()
	const most = 150
	for range most {
		var at [2]string
		b.do(chromedp.KeyEvent(kb.Tab), chromedp.Evaluate("document.activeElement === document.body ? ['', ''] : ["+focused+", "+ringed+"]", &at))
		if at[0] == "" || len(stops) > 0 && at[0] == stops[0] {
			return stops
		}
		if at[1] != "ok" {
			b.t.Errorf("the focus at %q is %s", at[0], at[1])
		}
		stops = append(stops, at[0])
	}
	b.t.Errorf("Tab does not come round: %q", stops[most-5:])
	return stops
}

// inOrder says whether some texts are among others, in their order.
func inOrder(all []string, some ...string) bool {
	for _, s := range all {
		if len(some) > 0 && s == some[0] {
			some = some[1:]
		}
	}
	return len(some) == 0
}

// TestKeyboard goes through the page without a mouse.
func TestKeyboard(t *testing.T) {
	url := aged(t)
	b := open(t)
	for _, view := range still {
		t.Run(view.name, func(t *testing.T) { // every view lets the focus through
			b.t = t
			b.at(url+view.path, "light", 1400, view.whole)
			if stops := b.round(); !inOrder(stops, "Skip to content", "davit", "Fleet", "Timeline", "find") {
				t.Errorf("Tab goes through %q", stops)
			}
		})
	}
	t.Run("skip", func(t *testing.T) {
		b.t = t
		b.at(url, "light", 1400, "table.fleet td.moving")
		b.press(kb.Tab)
		b.comes(`document.querySelector(".skip").getBoundingClientRect().height > 20`, "true")
		b.press(kb.Enter)
		b.comes(focused, "main")
		b.press(kb.Tab)
		b.comes(focused, "last night (12 h)")
	})
	t.Run("find", func(t *testing.T) {
		b.t = t
		b.at(url+"/gpus", "light", 1400, "main")
		b.slash()
		b.comes(focused, "find")
		b.press("lar")
		b.slash()
		b.press("ge")
		b.comes(`document.activeElement.value`, "lar/ge")
		b.press(kb.Escape)
		b.comes(`document.activeElement.value`, "")
		b.press("large", kb.Enter)
		b.comes(`[...document.querySelectorAll("table.fleet tbody th")].map((e) => e.firstChild.textContent.trim())`, "large")
	})
	t.Run("filter", func(t *testing.T) {
		b.t = t
		b.at(url, "light", 1400, "table.fleet td.moving")
		b.do(chromedp.Focus("[name=environment]", chromedp.ByQuery))
		b.press(kb.ArrowDown, kb.ArrowDown) // past one that is not meant
		b.comes(`document.activeElement.value`, "production")
		if at := b.tells("location.search"); at != "" {
			t.Errorf("an arrow alone went to %q", at)
		}
		b.do(chromedp.Focus(".filters button", chromedp.ByQuery))
		b.press(kb.Enter)
		b.comes(`new URLSearchParams(location.search).get("environment")`, "production")
		b.comes(focused, "Filter") // where it was
		b.do(chromedp.Focus(".states .moving", chromedp.ByQuery))
		b.press(kb.Enter)
		b.comes(`new URLSearchParams(location.search).get("state")`, "moving")
		b.comes(`document.activeElement.matches(".state.moving[aria-current]")`, "true")
	})
	t.Run("matrix", func(t *testing.T) {
		b.t = t
		b.at(url, "light", 1400, "table.fleet td.moving")
		cell := `document.activeElement.closest("td")?.dataset.key`
		b.do(chromedp.Focus("[data-key='production/iris'] a", chromedp.ByQuery))
		b.press(kb.ArrowRight) // nothing is there
		b.comes(cell, "production/iris")
		b.press(kb.ArrowLeft)
		b.comes(cell, "staging/iris")
		up, down := kb.ArrowUp, kb.ArrowDown
		if b.tells(`document.querySelector("table.fleet tbody th").textContent.trim().startsWith("large")`) == "true" {
			up, down = down, up
		}
		b.press(down)
		b.comes(cell, "staging/large")
		b.press(kb.ArrowRight) // large is not in production
		b.comes(cell, "staging/large")
		b.press(up, kb.ArrowRight)
		b.comes(cell, "production/iris")
		b.comes(ringed, "ok")
		b.press(kb.Enter)
		b.comes(`document.querySelector("h1").textContent.includes("iris")`, "true")
	})
	t.Run("live", func(t *testing.T) { // what comes by itself takes the focus from nothing, and is told
		b.t = t
		b.at(url, "light", 1400, "table.fleet td.moving")
		for _, at := range []string{"#fleet", "[data-key='staging/iris'] a"} {
			b.do(chromedp.Focus(at, chromedp.ByQuery), chromedp.Evaluate(`{
				const fleet = document.querySelector("#fleet");
				fleet.mine = true;
				fleet.querySelector("[data-key='staging/iris']").insertAdjacentHTML("beforeend", "<time class=age datetime=2026-01-01T00:00:00Z>5d</time>");
				refresh();
			}`, nil))
			b.comes(`document.querySelector("#fleet").mine`, "undefined")
			b.comes("document.activeElement === document.querySelector(`"+at+"`)", "true")
		}
		if news, marked := b.tells(`document.getElementById("news").textContent`), b.tells(`document.querySelectorAll(".fresh").length`); news != "" || marked != "0" {
			t.Errorf("an age is no news: %q, %s marked", news, marked)
		}
		b.do(chromedp.Evaluate(`document.querySelector("[data-key='staging/iris'] b").textContent = "v0"; refresh()`, nil))
		b.comes(`document.getElementById("news").textContent`, "staging/iris –")
		b.comes(`document.getElementById("news").getAttribute("role")`, "status")
		b.comes(`document.querySelector(".fresh").dataset.key`, "staging/iris")
		b.comes(`getComputedStyle(document.querySelector(".fresh")).animationName`, "none") // for who wants no motion
		b.media("", &emulation.MediaFeature{Name: "prefers-reduced-motion", Value: "no-preference"})
		b.comes(`getComputedStyle(document.querySelector(".fresh")).animationName`, "fresh")
	})
	t.Run("copy", func(t *testing.T) { // what is selected stays until it is not
		b.t = t
		b.at(url+"/releases/production/iris", "light", 1400, "#next pre.do")
		x, y := b.middle("#next pre.do")
		b.mouse(input.MousePressed, x, y)
		b.mouse(input.MouseReleased, x, y)
		b.comes(`getSelection().isCollapsed`, "false")
		b.do(chromedp.Evaluate(`document.querySelector("#next p").textContent = "old"; refresh()`, nil, awaited), chromedp.Evaluate(`refresh()`, nil, awaited))
		b.comes(`document.querySelector("#next p").textContent`, "old")
		b.do(chromedp.Evaluate(`getSelection().removeAllRanges()`, nil))
		b.comes(`document.querySelector("#next p").textContent === "old"`, "false")
	})
}
