package web

import (
	"slices"
	"testing"

	"github.com/davit-dev/davit/reconciler/fleet"
)

// TestSubject: a subject is the same text whatever of it leads somewhere, and in a list something leads to the commit.
func TestSubject(t *testing.T) {
	twelve := fleet.Link{Text: "#12", URL: "https://git.example.com/pulls/12"}
	for _, c := range []struct {
		subject    string
		links      []fleet.Link
		want, list []piece
	}{
		{"iris v2", nil, []piece{{Text: "iris v2"}}, []piece{{Text: "iris v2", First: true}}},
		{"iris (#12)", []fleet.Link{twelve}, []piece{{Text: "iris ("}, {Text: "#12", URL: twelve.URL}, {Text: ")"}}, []piece{{Text: "iris (", First: true}, {Text: "#12", URL: twelve.URL}, {Text: ")"}}},
		{"#12 iris", []fleet.Link{twelve}, []piece{{Text: "#12", URL: twelve.URL}, {Text: " iris"}}, []piece{{Text: "#12", URL: twelve.URL}, {Text: " iris", First: true}}},
		{"#12", []fleet.Link{twelve}, []piece{{Text: "#12", URL: twelve.URL}}, []piece{{Text: "#12", First: true}}},
		{"#12 #12", []fleet.Link{twelve, twelve}, []piece{{Text: "#12", URL: twelve.URL}, {Text: " "}, {Text: "#12", URL: twelve.URL}}, []piece{{Text: "#12 #12", First: true}}},
		{"a #1", []fleet.Link{{Text: "#1", URL: "javascript:alert(1)"}}, []piece{{Text: "a "}, {Text: "#1"}}, []piece{{Text: "a ", First: true}, {Text: "#1"}}},
		{"", nil, nil, []piece{{First: true}}},
	} {
		if got := subjectPieces(c.subject, c.links); !slices.Equal(got, c.want) {
			t.Errorf("%q: %+v, want %+v", c.subject, got, c.want)
		}
		if got := subjectInList(c.subject, c.links); !slices.Equal(got, c.list) {
			t.Errorf("%q in a list: %+v, want %+v", c.subject, got, c.list)
		}
	}
}
