package why

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// hunk is a run of lines that a change replaced: those from old on, counted from zero, by those from new on.
type hunk struct {
	path       string
	old, new   int
	gone, came []string // with their newlines
}

// hunks compares two contents of a file line by line.
func hunks(path string, old, new []byte) (all []hunk) {
	_, body, _ := bytes.Cut(diff.Diff("a", old, "b", new), []byte("+++ b\n"))
	var at hunk
	end := func() {
		if len(at.gone)+len(at.came) > 0 {
			all = append(all, at)
		}
		at = hunk{path: path, old: at.old + len(at.gone), new: at.new + len(at.came)}
	}
	at.path = path
	for line := range strings.Lines(string(body)) {
		switch text := line[1:]; line[0] {
		case '@':
			end()
			var oldLen, newLen int
			fmt.Sscanf(line, "@@ -%d,%d +%d,%d @@", &at.old, &oldLen, &at.new, &newLen)
			at.old, at.new = max(at.old-1, 0), max(at.new-1, 0)
		case '-':
			at.gone = append(at.gone, text)
		case '+':
			at.came = append(at.came, text)
		case ' ':
			end()
			at.old, at.new = at.old+1, at.new+1
		}
	}
	end()
	return all
}

// undo gives the new content without the hunk.
func (h hunk) undo(content []byte) []byte { return replace(content, h.new, len(h.came), h.gone) }

// do gives the old content with the hunk.
func (h hunk) do(content []byte) []byte { return replace(content, h.old, len(h.gone), h.came) }

func replace(content []byte, at, n int, by []string) []byte {
	lines := slices.Collect(strings.Lines(string(content)))
	at = min(at, len(lines))
	lines = slices.Replace(lines, at, min(at+n, len(lines)), by...)
	return []byte(strings.Join(lines, ""))
}

// forward is where a line of the old content, counted from one, is in the new one; 0 when it is not there any more.
func forward(all []hunk, line int) int {
	shift := 0
	for _, h := range all {
		switch first := h.old + 1; {
		case line < first:
			return line + shift
		case line < first+len(h.gone):
			return 0
		}
		shift += len(h.came) - len(h.gone)
	}
	return line + shift
}

// backward is where a line of the new content was in the old one; 0 when it came with the change.
func backward(all []hunk, line int) int {
	shift := 0
	for _, h := range all {
		switch first := h.new + 1; {
		case line < first:
			return line + shift
		case line < first+len(h.came):
			return 0
		}
		shift += len(h.gone) - len(h.came)
	}
	return line + shift
}
