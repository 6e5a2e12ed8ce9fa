package web_test

import (
	"context"
	"fmt"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// press has keys pressed, one after the other.
func (b *browser) press(keys ...string) {
	b.t.Helper()
	for _, k := range keys {
		b.do(chromedp.KeyEvent(k))
	}
}

// slash has "/" pressed as a keyboard does it: what the page does with the key decides whether it is written. KeyEvent writes it
// in any case.
func (b *browser) slash() {
	b.t.Helper()
	b.do(input.DispatchKeyEvent(input.KeyDown).WithKey("/").WithCode("Slash").WithText("/"), input.DispatchKeyEvent(input.KeyUp).WithKey("/").WithCode("Slash"))
}

// tells is the text that an expression gives in the page.
func (b *browser) tells(expression string) (text string) {
	b.t.Helper()
	b.do(chromedp.Evaluate("String("+expression+")", &text))
	return text
}

// comes waits until an expression gives a text in the page, which may be on its way to another.
func (b *browser) comes(expression, want string) {
	b.t.Helper()
	var got string
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if err := chromedp.Run(b.ctx, chromedp.Evaluate("String("+expression+")", &got)); err == nil && got == want {
			return
		}
		if time.Now().After(deadline) {
			b.picture("failed")
			b.t.Fatalf("%s is %q, want %q", expression, got, want)
		}
	}
}

// awaited has an evaluation wait for a promise.
func awaited(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }

// mouse does what a mouse does at places of the window, with the left button down or not.
func (b *browser) mouse(kind input.MouseType, x, y float64) {
	b.t.Helper()
	b.do(chromedp.ActionFunc(func(ctx context.Context) error {
		e := input.DispatchMouseEvent(kind, x, y).WithButton(input.Left).WithClickCount(1)
		if kind == input.MouseMoved {
			e = e.WithButtons(1)
		}
		return e.Do(ctx)
	}))
}

// middle is where in the window the middle of an element is.
func (b *browser) middle(selector string) (x, y float64) {
	b.t.Helper()
	var at [2]float64
	b.do(chromedp.Evaluate(fmt.Sprintf("(() => { const e = document.querySelector(%q); e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()", selector), &at))
	return at[0], at[1]
}

// focused is what has the focus, in words of CSS and of what it says.
const focused = `((e) => e.id || e.getAttribute("aria-label") || e.name || e.textContent.replace(/\s+/g, " ").trim())(document.activeElement)`

// ringed says whether one sees that the focus is where it is: by a ring, in the window, with nothing over it.
const ringed = `(() => {
	const e = document.activeElement, r = e.getBoundingClientRect(), s = getComputedStyle(e);
	const ring = s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 || e.closest("svg") && getComputedStyle(e.querySelector("rect, circle, path")).stroke !== "none";
	if (!ring) return "no ring";
	if (r.bottom < 0 || r.top > innerHeight) return "outside of the window";
	const bar = document.querySelector(".top"), b = bar.getBoundingClientRect();
	return !bar.contains(e) && !e.matches(".skip") && getComputedStyle(bar).position === "sticky" && r.top < b.bottom - 1 && r.bottom <= b.bottom ? "under the bar" : "ok";
})()`
