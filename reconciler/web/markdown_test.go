package web

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// elements and attributes are all that a card may come out as.
var (
	elements = []string{
		"p", "h3", "h4", "h5", "h6", "ul", "ol", "li", "a", "em", "strong", "del", "code", "pre", "blockquote", "hr", "br", "span", "table", "thead", "tbody", "tr", "th", "td",
	}
	attributes = map[string][]string{"a": {"href", "rel", "title"}, "span": {"class"}, "th": {"align"}, "td": {"align"}, "ol": {"start"}}
)

// checkTame reports whatever in HTML could do more than be read.
func checkTame(t *testing.T, source, out string) {
	t.Helper()
	z := html.NewTokenizer(strings.NewReader(out))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if z.Err() != io.EOF {
				t.Errorf("%q gives %q: %v", source, out, z.Err())
			}
			return
		case html.CommentToken, html.DoctypeToken:
			t.Errorf("%q gives a comment: %q", source, out)
		case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
			token := z.Token()
			if !slices.Contains(elements, token.Data) {
				t.Errorf("%q gives the element %s: %q", source, token.Data, out)
			}
			for _, a := range token.Attr {
				if !slices.Contains(attributes[token.Data], a.Key) {
					t.Errorf("%q gives the attribute %s of %s: %q", source, a.Key, token.Data, out)
				}
				if low := strings.ToLower(a.Val); a.Key == "href" && !strings.HasPrefix(low, "https://") && !strings.HasPrefix(low, "http://") && !strings.HasPrefix(low, "mailto:") {
					t.Errorf("%q leads to %q", source, a.Val)
				}
			}
		}
	}
}

// hostile is what people write who want a page to do something.
var hostile = []string{
	`<script>alert(1)</script>`, `a <script>alert(1)</script> b`, "<script\n>alert(1)</script>", `<img src=x onerror=alert(1)>`, `text <img src=x onerror=alert(1)> text`,
	`<svg onload=alert(1)>`, `<iframe src="https://example.com"></iframe>`, `<style>body{display:none}</style>`, `<a href="javascript:alert(1)">x</a>`,
	`<div style="position:fixed;inset:0">x</div>`, `<form action=/><button>x</button></form>`, `<!-- x --><b onclick=alert(1)>`, `<![CDATA[<script>alert(1)</script>]]>`, `<?php x ?>`, `<!DOCTYPE html>`,
	`[x](javascript:alert(1))`, `[x](JaVaScRiPt:alert(1))`, `[x](java
script:alert(1))`, `[x](<java script:alert(1)>)`, `[x](&#106;avascript:alert(1))`, `[x](&#x6A&#x61;vascript:alert(1))`, `[x](\javascript:alert(1))`, "[x](javascript&colon;alert(1))",
	"[x](\x01javascript:alert(1))", "[x](java\tscript:alert(1))", `[x](vbscript:msgbox(1))`, `[x](data:text/html;base64,PHNjcmlwdD4=)`, `[x](file:///etc/passwd)`, `[x](//example.com/a)`,
	`[x](/production/iris)`, `[x](../../actions?suspend)`, `[x](?q=1)`, `[x](#main)`, `[x](https:alert(1))`, `[x](http:///x)`, `[x](mailto:)`, `[x](blob:https://example.com/1)`,
	`[x]: javascript:alert(1)
[x]`, `<javascript:alert(1)>`, `<data:text/html,x>`, `<https://example.com/"onmouseover="alert(1)>`, `[x](https://example.com/"onmouseover="alert(1))`, `[x](https://example.com "\" onmouseover=\"alert(1)")`,
	`[x](https://example.com 'title<script>')`, `![x](https://example.com/p.png)`, `![<script>alert(1)</script>](x)`, `![x](javascript:alert(1))`, `[![x](https://example.com/p.png)](javascript:alert(1))`, `![a [b](javascript:alert(1)) c](x)`,
	"```\"><script>alert(1)</script>\ncode </code></pre><script>alert(1)</script>\n```", "    </code></pre><script>alert(1)</script>", "`</code><script>alert(1)</script>`", "~~~ js onload=x\nx\n~~~",
	"| a | b |\n|:-:|--:|\n| <script>alert(1)</script> | [x](javascript:alert(1)) |", "# x {#main .top onclick=alert(1)}", "# <script>alert(1)</script>", "Setext <b onclick=x>\n===",
	"&lt;script&gt;alert(1)&lt;/script&gt;", "\\<script>alert(1)\\</script>", "<<script>script>alert(1)</script>", "<scr<script>ipt>alert(1)</script>", "1. <img src=x\n   onerror=alert(1)>", "> <script>\n> alert(1)\n> </script>",
	"<https://example.com\u202e>", "[x](https://user:pass@example.com)", "<a@b.com\"onclick=alert(1)>", "<a@b.com>", "- [ ] <input autofocus onfocus=alert(1)>",
	"---\ntitle: <script>alert(1)</script>\n---\n# x", "---\nnever closed <script>alert(1)</script>", "\x00<script>alert(1)</script>", "[x](\u00a0javascript:alert(1))", "www.example.com javascript:alert(1)",
}

func TestHostileCards(t *testing.T) {
	for _, source := range hostile {
		checkTame(t, source, string(card(source)))
	}
}

func TestCard(t *testing.T) {
	for source, want := range map[string]string{
		strings.Repeat("-", 80):                            "<hr>\n",
		"# A\n\n## B\n\n##### C":                           "<h3>A</h3>\n<h4>B</h4>\n<h6>C</h6>\n",
		"---\nlicense: mit\n---\n*x*":                      "<p><em>x</em></p>\n",
		"[a](https://example.com/?b=1&c=2)":                `<p><a href="https://example.com/?b=1&amp;c=2" rel="noopener noreferrer nofollow">a</a></p>` + "\n",
		"[a](other.md)":                                    "<p>a</p>\n",
		"![a chart](chart.png)":                            `<p><span class="quiet">[image: a chart]</span></p>` + "\n",
		"<me@example.com>":                                 `<p><a href="mailto:me@example.com" rel="noopener noreferrer nofollow">me@example.com</a></p>` + "\n",
		"a <b>bold</b> b":                                  "<p>a bold b</p>\n",
		"```python\nx < 1\n```":                            "<pre><code>x &lt; 1\n</code></pre>\n",
		"| a |\n|:-:|\n| 1 |":                              "<table>\n<thead>\n<tr>\n<th align=\"center\">a</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n<td align=\"center\">1</td>\n</tr>\n</tbody>\n</table>\n",
		"- trained on clicks\n- <script>alert(1)</script>": "<ul>\n<li>trained on clicks</li>\n<li>\n</li>\n</ul>\n",
	} {
		if got := string(card(source)); got != want {
			t.Errorf("%q gives\n%q, want\n%q", source, got, want)
		}
	}
}

// TestLargeCards renders what could take for ever, at the size that a card has at most.
func TestLargeCards(t *testing.T) {
	const size = 64 << 10
	for _, part := range []string{"[", "](", "*a_", "> ", "- ", "`", "``` ", "<", "<!--", "&#", "|", "![", "[a](<b", "**a ", "# ", "\t", "a\n=\n", "[a]: b\n", "  - a\n", "|a\n|-\n", "1. ", "+ ", ">", strings.Repeat("> ", mostNested) + "a\n", strings.Repeat("*a_", mostMarks/2) + "\n\n"} {
		source := strings.Repeat(part, size/len(part))
		began := time.Now()
		out := string(card(source))
		took := time.Since(began)
		if checkTame(t, part, out); took > 10*time.Second {
			t.Errorf("%d bytes of %.20q take %v", size, part, took)
		}
	}
}

func FuzzCard(f *testing.F) {
	for _, source := range hostile {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) { checkTame(t, source, string(card(source))) })
}
