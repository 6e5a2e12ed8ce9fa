package web

import (
	"bytes"
	"html/template"
	"net/url"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/util"
)

// markdown makes HTML of what anybody may have written. Each element that can come out of it is written by goldmark or below;
// none has a style, an event or an identity, links lead to the web or to an address of mail and nowhere else, images are
// their words, and HTML in the text is left out.
var markdown = goldmark.New(
	goldmark.WithExtensions(
		extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute)), // a style is what the policy forbids
		extension.Strikethrough,
	),
	goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(tame{}, 1))),
)

// tame renders what goldmark would render as more than text and structure.
type tame struct{}

// RegisterFuncs implements renderer.NodeRenderer.
func (tame) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	r.Register(ast.KindHeading, heading)
	r.Register(ast.KindLink, linked)
	r.Register(ast.KindAutoLink, autoLink)
	r.Register(ast.KindImage, image)
	r.Register(ast.KindHTMLBlock, nothing)
	r.Register(ast.KindRawHTML, nothing)
	r.Register(ast.KindFencedCodeBlock, code)
}

// mostMarks bounds the signs in one paragraph that may begin or end something: pairing them takes time by their square, and
// 64 KiB of nothing else takes ten seconds. No text that is meant to be read comes near.
const mostMarks = 1000

// mostNested bounds the quotes and lists that one line begins, each within the one before, which take as long.
const mostNested = 50

var nested = regexp.MustCompile(`^(?:[ \t]*(?:>|[-+*][ \t]|\d{1,9}[.)][ \t]))+`)

// card is a model card as HTML that does nothing. What can't be rendered is shown as it is.
func card(text string) template.HTML {
	var out bytes.Buffer
	text = body(text)
	if tangled(text) || markdown.Convert([]byte(text), &out) != nil {
		return template.HTML("<pre>" + template.HTMLEscapeString(text) + "</pre>") // #nosec G203 -- escaped
	}
	return template.HTML(out.String()) // #nosec G203 -- see markdown
}

// tangled says that a paragraph has more signs than it may have, or a line more beginnings.
func tangled(text string) bool {
	marks := 0
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == "" {
			marks = 0
		}
		for _, c := range line {
			if strings.ContainsRune("*_~[]!<`", c) {
				marks++
			}
		}
		begun := strings.FieldsFunc(nested.FindString(line), func(r rune) bool { return !strings.ContainsRune(">-+*.)", r) })
		if marks > mostMarks || len(strings.Join(begun, "")) > mostNested {
			return true
		}
	}
	return false
}

// body leaves out the YAML that hubs keep at the beginning of a card.
func body(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	rest, ok := strings.CutPrefix(text, "---\n")
	if !ok {
		return text
	}
	if _, after, ok := strings.Cut(rest, "\n---\n"); ok {
		return after
	}
	return text
}

// heading is below the page's own two: the first one of a card is of the third level.
func heading(w util.BufWriter, _ []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	level := string('0' + rune(min(n.(*ast.Heading).Level+2, 6)))
	if entering {
		_, _ = w.WriteString("<h" + level + ">")
	} else {
		_, _ = w.WriteString("</h" + level + ">\n")
	}
	return ast.WalkContinue, nil
}

func linked(w util.BufWriter, _ []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	href := address(string(n.(*ast.Link).Destination))
	switch {
	case href == "": // its words alone
	case entering:
		open(w, href)
	default:
		_, _ = w.WriteString("</a>")
	}
	return ast.WalkContinue, nil
}

func autoLink(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	a := n.(*ast.AutoLink)
	to := string(a.URL(source))
	if a.AutoLinkType == ast.AutoLinkEmail && !strings.HasPrefix(strings.ToLower(to), "mailto:") {
		to = "mailto:" + to
	}
	href := address(to)
	if href != "" {
		open(w, href)
	}
	_, _ = w.Write(util.EscapeHTML(a.Label(source)))
	if href != "" {
		_, _ = w.WriteString("</a>")
	}
	return ast.WalkContinue, nil
}

// open begins a link that tells the other side nothing and gets no hold of this page.
func open(w util.BufWriter, href string) {
	_, _ = w.WriteString(`<a href="` + template.HTMLEscapeString(href) + `" rel="noopener noreferrer nofollow">`)
}

// address is where a link may lead: the web, or mail; "" for all else, such as files beside the card, which are not here.
func address(to string) string {
	u, err := url.Parse(strings.TrimSpace(to))
	switch {
	case err != nil:
		return ""
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", u.Scheme == "mailto" && u.Opaque != "":
		return u.String()
	}
	return ""
}

// image is its words: no other host is asked for anything.
func image(w util.BufWriter, _ []byte, _ ast.Node, entering bool) (ast.WalkStatus, error) {
	if entering {
		_, _ = w.WriteString(`<span class="quiet">[image: `)
	} else {
		_, _ = w.WriteString("]</span>")
	}
	return ast.WalkContinue, nil
}

func nothing(util.BufWriter, []byte, ast.Node, bool) (ast.WalkStatus, error) {
	return ast.WalkSkipChildren, nil
}

// code is a block of it, without the name of its language, which would become a class.
func code(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	_, _ = w.WriteString("<pre><code>")
	lines := n.Lines()
	for i := range lines.Len() {
		at := lines.At(i)
		html.DefaultWriter.RawWrite(w, at.Value(source))
	}
	_, _ = w.WriteString("</code></pre>\n")
	return ast.WalkContinue, nil
}
