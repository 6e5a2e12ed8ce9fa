package registry

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is something wrong in a file: where, what, and what to do.
type Fault struct {
	Path string `json:"path"`
	Line int    `json:"line"` // 1-based; 1 when the whole file is meant
	Text string `json:"text"`
}

func (f Fault) String() string { return fmt.Sprintf("%s:%d: %s", f.Path, f.Line, f.Text) }

func (f Fault) compare(o Fault) int {
	return cmp.Or(strings.Compare(f.Path, o.Path), cmp.Compare(f.Line, o.Line), strings.Compare(f.Text, o.Text))
}

// Bounds of what is said: a status, an Event and a comment have to hold it.
const (
	maxText   = 1000 // bytes of one fault
	maxFaults = 100  // of one file
)

// said is a fault's text, less the middle of a long one: what it begins with tells what is wrong, and its end what to do.
func said(format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText*2/3], "") + "…" + strings.ToValidUTF8(text[len(text)-maxText/3:], "")
	}
	return text
}

// sortFaults orders faults, each once: a faulty Serving is read for each of its environments.
func sortFaults(faults []Fault) []Fault {
	slices.SortFunc(faults, Fault.compare)
	return slices.Compact(faults)
}

// Bounds of hints. Past manyWords a list is names of a large registry, not words of a format: it is not
// written out, and a suggestion must be a slip of the finger and share the first letter, so that 10,000
// faults over 10,000 names end in a second.
const (
	manyWords = 100
	someWords = 12
)

// nearest is " (did you mean …?)" for the known word closest to word, or the list of the known ones.
func nearest(word string, known []string) string {
	if best := closest(word, known); best != "" {
		return best
	}
	if len(known) == 0 {
		return ""
	}
	return " (have " + some(known) + ")"
}

// Nearest is how an error about an unknown name ends: "; did you mean …?" with the closest of the known ones, or their list.
func Nearest(word string, known []string) string { return nearest(word, known) }

// closest is nearest without the list.
func closest(word string, known []string) string {
	best, dist := "", len(word)/2+1
	if len(known) > manyWords {
		dist = min(dist, 3)
	}
	for _, k := range known {
		if len(known) > manyWords && (k == "" || word == "" || k[0] != word[0]) {
			continue
		}
		if d := editDistance(strings.ToLower(word), strings.ToLower(k), dist); d < dist {
			best, dist = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// some writes the first names of a list out.
func some(names []string) string {
	if len(names) <= someWords {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:someWords], ", "), len(names)-someWords)
}

// editDistance is the Levenshtein distance of two short words, or enough when it is not less.
func editDistance(a, b string, enough int) int {
	if len(a)-len(b) >= enough || len(b)-len(a) >= enough {
		return enough
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(row[j]+1, row[j-1]+1, cost)
			least = min(least, row[j])
		}
		if least >= enough {
			return enough
		}
	}
	return row[len(b)]
}
