package web

import (
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/davit-dev/davit/reconciler/fleet"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// parse reads a template for each view: the frame of all pages, what several have in common, and the view's own.
func parse(views []view) (map[string]*template.Template, error) {
	common, err := template.New("").Funcs(functions).ParseFS(templateFiles, "templates/page.html", "templates/parts.html", "templates/actions.html")
	if err != nil {
		return nil, fmt.Errorf("reading the page's templates: %w", err)
	}
	names := []string{"home", "missing", "trouble", "done"}
	for _, v := range views {
		names = append(names, v.Name)
	}
	all := map[string]*template.Template{}
	for _, name := range names {
		t, err := common.Clone()
		if err == nil {
			t, err = t.ParseFS(templateFiles, "templates/"+name+".html")
		}
		if err != nil {
			return nil, fmt.Errorf("reading the page's template %s: %w", name, err)
		}
		all[name] = t
	}
	return all, nil
}

// static serves the page's own files. They change with davit's program alone, and the browser asks each time whether they did.
func static() http.Handler {
	files, err := fs.Sub(staticFiles, "static")
	if err != nil {
		panic(err) // the folder is embedded
	}
	serve := http.StripPrefix("/-/static/", http.FileServerFS(files))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		serve.ServeHTTP(w, r)
	})
}

var functions = template.FuncMap{
	"age":    age,
	"clock":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"short":  func(s string) string { return s[:min(12, len(s))] },
	"mark":   mark,
	"span":   span,
	"add":    func(a, b int) int { return a + b },
	"sub":    func(a, b int) int { return a - b },
	"query":  with,
	"from":   from,
	"dict":   dict,
	"path":   func(parts ...string) string { return path(parts...) },
	"where":  findURL,
	"str":    func(v any) string { return fmt.Sprint(v) },
	"link":   link,
	"linked": subjectPieces, "leads": subjectInList,
	"ask": ask,
	// number is one as people read it, without digits that say nothing.
	"number": func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) },
	"bytes":  size,
	"text":   func(s *string) string { return *s },
	// of the timeline
	"strip": draw, "zooms": zooms, "stamp": stamp, "state": fleet.StateOf, "change": change, "requested": requested,
	"strings": func(all ...string) []string { return all },
	// of models
	"plots": plots, "lineage": lineageDrawing, "card": card, "many": many, "figure": figure, "anchor": anchor, "metric": metricOf, "nodeName": nodeName,
	"nothing": func() map[string]string { return nil },
}

// path escapes the parts of a URL's path.
func path(parts ...string) string {
	out := ""
	for _, p := range parts {
		out += "/" + url.PathEscape(p)
	}
	return out
}

// with is the query of a page with one value set, "" for none, and without where in a list it was.
func with(query map[string]string, name, value string) string {
	q := url.Values{}
	for k, v := range query {
		if v != "" && k != "from" {
			q.Set(k, v)
		}
	}
	if q.Del(name); value != "" {
		q.Set(name, value)
	}
	if len(q) == 0 {
		return "?"
	}
	return "?" + q.Encode()
}

// ask is a query of names and values; those without a value are left out.
func ask(pairs ...string) string {
	q := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		q[pairs[i]] = pairs[i+1]
	}
	return with(q, "", "")
}

// from is a page's query from a place in the list on.
func from(query map[string]string, place int) string {
	q := with(query, "", "")
	if place <= 0 {
		return q
	}
	if q != "?" {
		q += "&"
	}
	return q + "from=" + strconv.Itoa(place)
}

// dict is named values for a part of a template.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("a name without a value")
	}
	out := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("%v is no name", pairs[i])
		}
		out[name] = pairs[i+1]
	}
	return out, nil
}

// found is a text and the URL at its end.
type found struct{ Text, URL string }

// findURL parts a text from an http(s) URL that it ends with.
func findURL(text string) found {
	i := strings.LastIndexByte(text, ' ')
	if u, err := url.Parse(text[i+1:]); err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") {
		return found{text[:i+1], text[i+1:]}
	}
	return found{Text: text}
}

// age is how long ago something was, in a unit that says enough.
func age(now, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := now.Sub(t)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(int(d.Seconds()), 0))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// link is a text where that is the address of a page, and "" for anything else.
func link(text string) string {
	if u, err := url.Parse(text); err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" {
		return text
	}
	return ""
}

// size is a number of bytes as people read it.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d bytes", n)
	}
	value, i := float64(n)/unit, 0
	for ; value >= unit && i < 4; i++ {
		value /= unit
	}
	return fmt.Sprintf("%.4g %ciB", value, "KMGTP"[i])
}

// mark is a state's sign, so that no colour is needed to tell it.
func mark(s fleet.State) string {
	switch s {
	case fleet.Broken:
		return "✕"
	case fleet.Stopped:
		return "▲"
	case fleet.Manual:
		return "◆"
	case fleet.Moving:
		return "◌"
	case fleet.Well:
		return "✓"
	}
	return "•"
}

// span is how long something took, of seconds.
func span(seconds int) string {
	now := time.Now()
	return age(now, now.Add(-time.Duration(seconds)*time.Second))
}
