package cluster

import (
	"strings"
	"testing"
	"time"
)

// TestLogResumes passes over the lines that were given before the connection broke.
func TestLogResumes(t *testing.T) {
	var got []string
	l := containerLog{runLogs: &runLogs{write: func(_ int, _, line string) { got = append(got, line) }}}
	var last time.Time
	for _, body := range []string{
		"2026-11-27T03:00:00.1Z one\n2026-11-27T03:00:00.2Z two\n",
		"2026-11-27T03:00:00.1Z one\n2026-11-27T03:00:00.2Z two\n2026-11-27T03:00:00.3Z \n2026-11-27T03:00:00.4Z four",
	} {
		if err := l.lines(strings.NewReader(body), &last); err != nil {
			t.Fatal(err)
		}
	}
	if text := strings.Join(got, "|"); text != "one|two||four" {
		t.Errorf("got %q", text)
	}
}

// TestLastProgress takes the last line of the documented form, and nothing that only looks like it.
func TestLastProgress(t *testing.T) {
	for log, want := range map[string]string{
		"":                            "",
		"davit: progress 1/9\nloss\n": "1/9",
		"davit: progress 1/9\ndavit: progress 2/9 loss=0.31\n": "2/9 loss=0.31",
		"bar 10%\rdavit: progress 3/9\n":                       "3/9",
		"davit: progress soon\n":                               "",
		"x davit: progress 4/9\n":                              "",
		"davit: progress 5/9x\n":                               "",
		strings.Repeat("x", 64<<10) + "davit: progress 6/9\n":  "",
	} {
		if got := lastProgress(strings.NewReader(log)); got != want {
			t.Errorf("%.40q: got %q, want %q", log, got, want)
		}
	}
}
