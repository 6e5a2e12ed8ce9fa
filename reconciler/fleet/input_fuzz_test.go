package fleet

import (
	"math"
	"strings"
	"testing"
	"unicode"

	"github.com/davit-dev/davit/reconciler/cluster"
)

// FuzzPart: a page is a part of the list, whatever it is asked for.
func FuzzPart(f *testing.F) {
	f.Add(10, 2, 5)
	f.Add(10, math.MaxInt, 100)
	f.Add(0, -1, math.MinInt)
	f.Add(2000, 5, math.MaxInt)
	f.Fuzz(func(t *testing.T, length, from, limit int) {
		all := make([]int, uint(length)%3000)
		for i := range all {
			all[i] = i
		}
		got := part(all, from, limit)
		if len(got) > MostLines || len(got) > max(limit, 0) {
			t.Errorf("%d, of at most %d", len(got), limit)
		}
		if len(got) > 0 && got[0] != max(from, 0) {
			t.Errorf("begins at %d, not %d", got[0], from)
		}
		if want := min(max(limit, 0), MostLines, max(0, len(all)-max(from, 0))); len(got) != want {
			t.Errorf("%d of %d from %d on, want %d", len(got), len(all), from, want)
		}
	})
}

// FuzzLogLine: what a container writes is told as one line of text that a terminal and a page can show, and not endlessly.
func FuzzLogLine(f *testing.F) {
	f.Add("\x1b[31mred\x1b[0m\r 50%\r100%", 1, "trainer")
	f.Add("\x1b[\x1b[", 3, "publisher")
	f.Add(strings.Repeat("é", longestLine)+"\xff\u202e", 2, "")
	f.Fuzz(func(t *testing.T, text string, nodes int, container string) {
		text = strings.ReplaceAll(text, "\n", "") // it ends a line
		got := logLine(cluster.LogLine{Text: text, Container: container}, nodes)
		if len(got.Text) > longestLine+len("…") {
			t.Errorf("%d bytes", len(got.Text))
		}
		if strings.ContainsFunc(got.Text, func(r rune) bool { return unicode.IsControl(r) && r != '\t' || unicode.Is(unicode.Bidi_Control, r) }) {
			t.Errorf("%q is told as %q", text, got.Text)
		}
		if again := logLine(cluster.LogLine{Text: got.Text, Container: container}, nodes); len(got.Text) <= longestLine && again.Text != got.Text {
			t.Errorf("%q, and again %q", got.Text, again.Text)
		}
	})
}
