package main

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestPageWidth holds that sentences are wrapped.
func TestPageWidth(t *testing.T) {
	p := &page{}
	p.row("waiting", strings.Repeat("a word or two ", 40))
	p.row("held", strings.Repeat("x", 200))
	for i, line := range strings.Split(p.String(), "\n") {
		if n := utf8.RuneCountInString(line); n > pageWidth && !strings.Contains(line, "xxx") {
			t.Errorf("line %d has %d characters", i, n)
		}
	}
	if lines := strings.Count(p.String(), "\n"); lines != 8 {
		t.Errorf("%d lines:\n%s", lines, p)
	}
}
