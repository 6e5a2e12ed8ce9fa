package fleet

import (
	"maps"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/davit-dev/davit/reconciler/cluster"
)

// TestLogLine: a line is told as text: without colours, and not endlessly.
func TestLogLine(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                             "plain",
		"\x1b[1;32mgreen\x1b[0m and \x1b[K": "green and ",
		"bar 10%\rbar 20%":                  "bar 20%",
		"windows\r":                         "windows",
		"\x1b[":                             "",
		"a\u202eb\x07":                      "ab",
		strings.Repeat("é", longestLine):    strings.Repeat("é", longestLine/2) + "…",
		strings.Repeat("x", longestLine):    strings.Repeat("x", longestLine),
	} {
		if got := logLine(cluster.LogLine{Text: text, Container: "trainer"}, 1); got.Text != want || got.From != "" {
			t.Errorf("%.40q: got %.40q from %q", text, got.Text, got.From)
		}
	}
	if got := logLine(cluster.LogLine{Rank: 3, Container: "publisher"}, 4); got.From != "[3] [publisher] " {
		t.Errorf("from %q", got.From)
	}
}

// FuzzCursor: what String writes is read as the same, and nothing that is read has anything a header can't.
func FuzzCursor(f *testing.F) {
	f.Add("3f4626aa.t=dn5noii4frb4,3f4626aa.p=0")
	f.Add("x")
	f.Add("=,=")
	f.Add("a\nb=1")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCursor(text)
		if err != nil {
			return
		}
		if strings.ContainsFunc(c.String(), unicode.IsControl) {
			t.Errorf("%q is written as %q", text, c)
		}
		again, err := ParseCursor(c.String())
		if err != nil || !maps.EqualFunc(c, again, time.Time.Equal) {
			t.Errorf("%q: %v and %v, %v", text, c, again, err)
		}
	})
}
