package fleet_test

import (
	"slices"
	"testing"

	"github.com/davit-dev/davit/reconciler/fleet"
)

// TestLinks: of what a subject names only that is a link which is on the registry's own forge.
func TestLinks(t *testing.T) {
	p := newPast(t)
	pulls := "https://git.example.com/ml/models/pulls/"
	for subject, want := range map[string][]fleet.Link{
		"Promote iris (#12)":                    {{Text: "#12", URL: pulls + "12"}},
		"#1, ml/other#2 and #3.":                {{Text: "#1", URL: pulls + "1"}, {Text: "ml/other#2", URL: "https://git.example.com/ml/other/pulls/2"}, {Text: "#3", URL: pulls + "3"}},
		"see https://git.example.com/ml/x/4.":   {{Text: "https://git.example.com/ml/x/4", URL: "https://git.example.com/ml/x/4"}},
		"log in at https://evil.example.com/#4": nil,
		"https://git.example.com.evil.com/#5":   nil,
		"https://git.example.com@evil.com/#6":   nil,
		"&#39; a#7 é#8 #9x !10 ##":              nil,
	} {
		p.write("NOTES", subject)
		p.commit("Ada", subject)
		p.read()
		got := p.timeline(fleet.Viewer{}, fleet.TimelineQuery{Limit: 1})
		if c := got.Commits[0]; c.Subject != subject || !slices.Equal(c.Links, want) || !slices.Equal(got.Tip.Links, want) {
			t.Errorf("%q: %+v, of the tip %+v, want %+v", subject, c.Links, got.Tip.Links, want)
		}
	}
}
