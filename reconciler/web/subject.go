package web

import (
	"strings"

	"github.com/davit-dev/davit/reconciler/fleet"
)

// piece is a part of a text; without a URL it leads nowhere.
type piece struct {
	Text, URL string
	// First says that it is the first that leads to the commit itself, in a list.
	First bool
}

// subjectPieces parts a subject at its links.
func subjectPieces(subject string, links []fleet.Link) (out []piece) {
	for _, l := range links {
		before, after, there := strings.Cut(subject, l.Text)
		if !there {
			continue
		}
		if before != "" {
			out = append(out, piece{Text: before})
		}
		out = append(out, piece{Text: l.Text, URL: link(l.URL)})
		subject = after
	}
	if subject != "" {
		out = append(out, piece{Text: subject})
	}
	return out
}

// subjectInList is the same for a list, in which a subject's words lead to its commit: all of it does where there are none beside
// its links.
func subjectInList(subject string, links []fleet.Link) []piece {
	out := subjectPieces(subject, links)
	for i := range out {
		if p := &out[i]; p.URL == "" && strings.TrimSpace(p.Text) != "" {
			p.First = true
			return out
		}
	}
	return []piece{{Text: subject, First: true}}
}
