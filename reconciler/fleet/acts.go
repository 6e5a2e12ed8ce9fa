package fleet

import (
	"cmp"
	"slices"
	"strings"

	"github.com/davit-dev/davit/registry"
)

// Acts are what can be asked for of a release now, and the commands that ask for the same.
type Acts struct {
	// Promote is the version that another environment offers; nil when none does.
	Promote *Act `json:"promote,omitempty"`
	// Back are the versions that it can go back to, the one that is known to be well first.
	Back []Act `json:"back"`
	// Suspend stops the release, Resume ends that, a hold and a pin; one of them is nil.
	Suspend *Act `json:"suspend,omitempty"`
	Resume  *Act `json:"resume,omitempty"`
}

// Act is one of them.
type Act struct {
	// From is the environment that a promotion is from.
	From    string `json:"from,omitempty"`
	Version string `json:"version,omitempty"`
	Command string `json:"command"`
}

// mostBack is how many versions are offered to go back to.
const mostBack = 20

// Acts are those of one release; nil when it is not there, or not for the viewer.
func (f *Fleet) Acts(v Viewer, name string, key registry.Key) *Acts {
	r := f.of(name)
	if r == nil || !v.may(name, key.Environment) {
		return nil
	}
	l := r.look()
	line, cell := l.line(v, key)
	if cell == nil {
		return nil
	}
	line.offers()
	a := &Acts{Back: []Act{}}
	release := key.String()
	if cell.Offers != "" {
		a.Promote = &Act{From: cell.From, Version: cell.Offers, Command: "davit promote " + cell.From + "/" + key.Name + " " + key.Environment}
	}
	if cell.Suspended || cell.Pinned || cell.Held != "" {
		a.Resume = &Act{Command: "davit resume " + release}
	}
	if !cell.Suspended {
		a.Suspend = &Act{Command: "davit suspend " + release + " --for 4h --reason TEXT"}
	}
	for _, version := range l.others(key, cell) {
		a.Back = append(a.Back, Act{Version: version, Command: "davit rollback " + release + " --to " + version + " --reason TEXT"})
	}
	return a
}

// line is the release in all environments that the viewer may see, and in its own; nil where it is not.
func (l *look) line(v Viewer, key registry.Key) (line *Line, own *Cell) {
	line = &Line{Release: key.Name}
	for _, c := range l.named(v, key.Name) {
		line.Cells = append(line.Cells, c)
		if c.Environment == key.Environment {
			own = c
		}
	}
	return line, own
}

// named are the cells of the releases of one name.
func (l *look) named(v Viewer, name string) (out []*Cell) {
	seen := map[string]bool{}
	add := func(row *Row) {
		if !seen[row.Environment] && v.may(l.name, row.Environment) {
			seen[row.Environment] = true
			out = append(out, l.cell(row))
		}
	}
	places := l.all()
	at, _ := slices.BinarySearchFunc(places, name, func(p *place, name string) int { return strings.Compare(p.Load().Release, name) })
	for ; at < len(places) && places[at].Load().Release == name; at++ {
		add(places[at].Load())
	}
	if l.models == nil {
		return out
	}
	for environment := range l.models.Environments {
		key := registry.Key{Environment: environment, Name: name}
		if l.models.Release(key) != nil || len(l.models.Broken[key]) > 0 {
			add(&Row{Environment: environment, Release: name, key: key})
		}
	}
	slices.SortFunc(out, func(a, b *Cell) int { return strings.Compare(a.Environment, b.Environment) })
	return out
}

// others are the versions that a release can go back to: all of its model's but the one that it is asked to be at, the one that is
// held, and those whose names tell that they are newer. Those that serve or were healthy last come first, and then the newest as
// far as names tell it.
func (l *look) others(key registry.Key, cell *Cell) (out []string) {
	if l.models == nil {
		return nil
	}
	now := l.models.Release(key)
	if now == nil {
		return nil
	}
	for name, v := range now.Model.Versions {
		if name != now.ModelVersion.Name && name != cell.Held && v.Bad == nil && !registry.Older(now.ModelVersion.Name, name) {
			out = append(out, name)
		}
	}
	rank := func(version string) int {
		if version == cell.Version || version == cell.Healthy {
			return 0
		}
		return 1
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(rank(a)-rank(b), naturally(b, a)) })
	return out[:min(len(out), mostBack)]
}

// naturally compares names with numbers in them: v9 comes before v10.
func naturally(a, b string) int {
	for a != "" && b != "" {
		x, y := digits(a), digits(b)
		if x == "" || y == "" {
			if a[0] != b[0] {
				return cmp.Compare(a[0], b[0])
			}
			a, b = a[1:], b[1:]
			continue
		}
		p, q := strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if c := cmp.Or(cmp.Compare(len(p), len(q)), strings.Compare(p, q)); c != 0 {
			return c
		}
		a, b = a[len(x):], b[len(y):]
	}
	return cmp.Compare(len(a), len(b))
}

// digits are those that a text begins with.
func digits(s string) string {
	return s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
}
