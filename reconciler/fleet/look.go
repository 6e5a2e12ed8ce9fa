package fleet

import (
	"slices"
	"strings"
	"unicode"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// look is one look at a registry: what its branch asks for and what its clusters show.
type look struct {
	*followed
	snapshot *gitops.Snapshot   // nil before a commit was followed
	models   *registry.Registry // of it
}

func (f *followed) look() *look {
	snapshot, models := f.Registry()
	return &look{f, snapshot, models}
}

func (l *look) tip() *Tip {
	if l.snapshot == nil {
		return nil
	}
	c := l.snapshot.Commit()
	return l.tipOf(c)
}

// tipOf tells of a commit.
func (l *look) tipOf(c gitops.Commit) *Tip {
	subject := plain(c.Subject)
	return &Tip{
		Commit: c.Hash.String(), Revision: l.Source().Revision(c.Hash), Author: plain(c.Author.Name), Subject: subject, Links: l.links(subject),
		When: c.Committer.When,
	}
}

// behind says why the newest commit is not followed. Reasons name environments, so who may not see all is told no more than that.
func (l *look) behind(v Viewer) string {
	why := plain(l.Behind())
	if why == "" || v.May == nil || l.models != nil && !slices.ContainsFunc(environmentsOf(l.models), func(e string) bool { return !v.may(l.name, e) }) {
		return why
	}
	return "davit's log has the reason"
}

// cells are the releases that a viewer may see, in the cluster or on the branch, by name and environment.
func (l *look) cells(v Viewer) (out []*Cell) {
	may := map[string]bool{}
	seen := func(environment string) bool {
		ok, known := may[environment]
		if !known {
			ok = v.may(l.name, environment)
			may[environment] = ok
		}
		return ok
	}
	places := l.all()
	for _, p := range places {
		if row := p.Load(); seen(row.Environment) {
			out = append(out, l.cell(row))
		}
	}
	if l.models == nil {
		return out
	}
	there := make(map[registry.Key]bool, len(places))
	for _, p := range places {
		there[p.Load().key] = true
	}
	absent := func(key registry.Key) {
		if !there[key] && seen(key.Environment) {
			out = append(out, l.cell(&Row{Environment: key.Environment, Release: key.Name, key: key}))
		}
	}
	for _, r := range l.models.Releases {
		absent(r.Key())
	}
	for key := range l.models.Broken {
		absent(key)
	}
	slices.SortFunc(out, func(a, b *Cell) int { return byRelease(&a.Row, &b.Row) })
	return out
}

// cell adds what the branch says.
func (l *look) cell(row *Row) *Cell {
	c := &Cell{Row: *row}
	c.Registry = l.name
	if l.models == nil {
		c.State = c.stands()
		return c
	}
	if want := l.models.Release(row.key); want != nil {
		c.Team, c.Model = want.Team, want.Model.Name
		if version := want.ModelVersion.Name; version != c.Version {
			c.Wanted = version
		}
		if want.Promote != nil {
			c.rule = want.Promote.FromEnvironment()
		}
	} else if faults := l.models.Broken[row.key]; len(faults) > 0 {
		c.Fault = faults[0].String()
	}
	c.State = c.stands()
	return c
}

// stands sums a release up.
func (c *Cell) stands() State {
	switch {
	case c.Phase == v1alpha1.Failed && !c.served || c.Version == "" && c.Fault != "":
		return Broken
	case c.Held != "" || c.Phase == v1alpha1.Failed || c.Phase == v1alpha1.Held || c.Phase == v1alpha1.RolledBack || c.Fault != "":
		return Stopped
	case c.Pinned || c.Suspended || c.Drifted:
		return Manual
	case c.Phase != v1alpha1.Healthy:
		return Moving
	}
	return Well
}

// short is a commit as people write it.
func short(commit string) string { return commit[:min(12, len(commit))] }

// plain leaves out of a text of others what moves a terminal's cursor or hides what stands beside it.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, text)
}
