package web

import (
	"strconv"
	"strings"
	"time"
)

// stamp is a time that is read beside others.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04")
}

// change is a number before and after.
func change(from, to *float64) string {
	switch {
	case from == nil && to == nil:
		return ""
	case from == nil:
		return figure(*to)
	case to == nil:
		return figure(*from) + " → none"
	}
	return figure(*from) + " → " + figure(*to)
}

// figure is a number as people read it.
func figure(f float64) string { return strconv.FormatFloat(f, 'g', 5, 64) }

// requested is a pull request's URL in few letters.
func requested(text string) string {
	if i := strings.LastIndexByte(strings.TrimRight(text, "/"), '/'); i >= 0 {
		if n := strings.TrimRight(text[i+1:], "/"); strings.Trim(n, "0123456789") == "" && n != "" {
			if strings.HasSuffix(text[:i], "/merge_requests") {
				return "!" + n
			}
			return "#" + n
		}
	}
	return "pull request"
}
