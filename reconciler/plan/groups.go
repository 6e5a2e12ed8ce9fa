package plan

import (
	"encoding/json"
	"fmt"
	"strings"
)

// group is releases of one environment to which the very same happens.
type group struct {
	Release
	others []string // their names
}

// groups joins releases that differ in the same, each at its first one's place: a shared change is told once.
func (p *Plan) groups() (all []*group) {
	by := map[string]*group{}
	for _, r := range p.Releases {
		id := signature(r)
		if g := by[id]; g != nil {
			g.others = append(g.others, r.Key().Name)
			continue
		}
		g := &group{Release: r}
		by[id], all = g, append(all, g)
	}
	return all
}

// signature is equal for releases of which there is nothing else to tell: the name of one stands for it only where an
// object bears it.
func signature(r Release) string {
	key := r.Key()
	if r.From == r.To {
		r.From, r.To = "", ""
	}
	if r.Image != nil {
		r.Image = &Image{State: r.Image.State}
	}
	r.Release, r.Team = key.Environment, ""
	objects := r.Objects
	r.Objects = make([]Object, len(objects))
	for i, o := range objects {
		if rest, ok := strings.CutPrefix(o.Name, key.Name); ok && (rest == "" || rest[0] == '-') {
			o.Name = "\x00" + rest
		}
		r.Objects[i] = o
	}
	text, err := json.Marshal(r)
	if err != nil {
		return r.Release // nothing in it can't be written
	}
	return string(text)
}

// shownNames is how many names are written out of a long list.
const shownNames = 12

// same says in which others it is the same.
func (g *group) same(name func(string) string) string {
	if len(g.others) == 0 {
		return ""
	}
	return fmt.Sprintf("the same in %d more: %s", len(g.others), listed(g.others, name))
}

// listed writes the first names of a list out.
func listed(names []string, name func(string) string) string {
	var some []string
	for _, n := range names[:min(len(names), shownNames)] {
		some = append(some, name(n))
	}
	text := strings.Join(some, ", ")
	if more := len(names) - shownNames; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
