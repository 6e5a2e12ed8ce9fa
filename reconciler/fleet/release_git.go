package fleet

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/davit-dev/davit/reconciler/history"
	"github.com/davit-dev/davit/reconciler/status"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
)

// mostRevisions is how many a page of one release tells of.
const mostRevisions = 50

// past is the release's history, with what came of each revision.
func (d *detail) past(ctx context.Context) {
	all, err := d.history(ctx, d.key, mostRevisions)
	if err != nil {
		d.note("the history is still being read", err)
	}
	if all != nil {
		d.out.History = all
	}
}

// history is that of one release up to the followed commit, newest first.
func (l *look) history(ctx context.Context, key registry.Key, limit int) (out []Revision, err error) {
	if l.snapshot == nil {
		return nil, nil
	}
	// The first question reads all of the history, and goes on when nobody waits for it any more.
	type answer struct {
		all []history.Revision
		err error
	}
	answered := make(chan answer, 1)
	go func() {
		all, err := l.followed.past.Revisions(context.WithoutCancel(ctx), l.snapshot.Hash(), history.Filter{Environment: key.Environment, Release: key.Name, Limit: limit})
		answered <- answer{all, err}
	}()
	var a answer
	select {
	case a = <-answered:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	for i, r := range a.all {
		word, sentence := r.Reason()
		rev := Revision{
			Commit: r.Commit, Version: r.To, From: r.From, Model: model(r.ToModel), When: r.When, Outcome: r.Outcome(), Reason: word, Message: plain(sentence),
		}
		for _, e := range r.Events {
			rev.Image, rev.By = cmp.Or(e.Image, rev.Image), cmp.Or(e.By, rev.By)
		}
		if n := len(r.Events); n > 0 {
			rev.Since = r.Events[n-1].At
		}
		if i+1 < len(a.all) {
			rev.Before = a.all[i+1].Commit
		}
		l.who(ctx, &rev)
		out = append(out, rev)
	}
	return out, a.err
}

func model(folder string) string { return folder[strings.LastIndex(folder, "/")+1:] }

// who fills in what the repository knows of a revision's commit.
func (l *look) who(ctx context.Context, r *Revision) {
	if r == nil || r.Commit == "" {
		return
	}
	r.URL = l.CommitURL(r.Commit)
	if w, err := l.followed.past.Who(ctx, r.Commit, nil); err == nil {
		r.Author, r.Subject, r.Here = plain(w.Author.Name), plain(w.Subject), true
		r.Links = l.links(r.Subject)
	}
}

// status is what package status knows at the followed commit; nil before there is one. It is kept until the next.
func (l *look) status() *status.View {
	if l.snapshot == nil {
		return nil
	}
	l.followed.mu.Lock()
	defer l.followed.mu.Unlock()
	if l.followed.view == nil || l.followed.viewed != l.snapshot.Hash() {
		l.followed.viewed = l.snapshot.Hash()
		l.followed.view = status.New(status.Config{Source: l.Source(), Tip: l.snapshot, Models: l.models, Now: l.followed.now, Facts: l.facts})
	}
	return l.followed.view
}

// revisions tell of what is and was, what the branch asks for, and what is to be done.
func (d *detail) revisions(ctx context.Context) {
	v := d.status()
	if v == nil {
		v = status.New(status.Config{})
	}
	out := d.out
	if serves := v.Serves(ctx, d.mr); serves.Revision.Commit != "" {
		out.Current, out.Baking = d.revision(serves.Revision), serves.Applied
	}
	if asked, err := v.Asks(ctx, d.mr); err != nil {
		d.note("what the branch asks for is not known", err)
	} else if asked != nil && !asked.Same {
		out.Asked = &Asked{Text: asked.Text(), Fault: plain(asked.Fault)}
		if !asked.Commit.Hash.IsZero() {
			out.Asked.Revision = &Revision{Commit: asked.Commit.Hash.String(), Version: asked.Version, When: asked.Commit.Committer.When}
		}
	}
	found, err := v.Findings(ctx, d.mr, d.ModelRegistry(ctx))
	if err != nil {
		d.note("what to do is not known", err)
	}
	for _, f := range found {
		out.Findings = append(out.Findings, Finding{What: f.What, Text: plain(f.Text), Do: f.Do, State: ranks[f.Rank]})
	}
	for _, r := range []*Revision{out.Current, out.LastHealthy, out.HeldBack, out.Coming} {
		d.who(ctx, r)
	}
	if out.Asked != nil {
		d.who(ctx, out.Asked.Revision)
	}
}

// ranks are how soon a person is needed, in the words of releases.
var ranks = map[status.Rank]State{status.Broken: Broken, status.Stopped: Stopped, status.Odd: Manual, status.Passing: Moving, status.Well: Well}

// next says to which environments the version can go, and what keeps it back.
func (d *detail) next(ctx context.Context) {
	v := d.status()
	if v == nil {
		return
	}
	all, err := v.Next(ctx, d.key)
	if err != nil {
		d.note("where the version can go next is not known", err)
	}
	order := d.environments()
	slices.SortFunc(all, func(a, b status.Next) int {
		return cmp.Compare(slices.Index(order, a.To.Environment), slices.Index(order, b.To.Environment))
	})
	for i := range all {
		if d.v.may(d.name, all[i].To.Environment) {
			d.out.Next = append(d.out.Next, d.promotion(&all[i]))
		}
	}
}

func (d *detail) promotion(n *status.Next) Promotion {
	out := Promotion{To: n.To.Environment, Before: n.Before, Refused: plain(n.Problem), Closed: len(n.Closed()) > 0}
	if n.Version != nil {
		out.Version, out.Doubt = n.Version.Name, d.doubt(n.Version.Name)
	}
	if n.Problem == "" && (n.Version == nil || n.Version.Name != d.out.Cell.Held) {
		out.Command = n.Command()
	}
	for _, g := range n.Gates {
		if g.State == gate.Passed {
			out.Open++
			continue
		}
		if environment, is := strings.CutPrefix(g.Gate, "healthyIn/"); is && !d.v.may(d.name, environment) {
			g.Message = "it must be healthy in " + environment + ", which is not yours to see"
		}
		g.Message = plain(g.Message)
		out.Gates = append(out.Gates, g)
	}
	return out
}

// doubt is why a version is not to be taken for one that is well here; "" where it is.
func (d *detail) doubt(version string) string {
	switch c := d.out.Cell; {
	case c.Held == version:
		return version + " failed here and is held."
	case c.Version != version || c.Next != "":
		return version + " does not serve here yet."
	case c.State != Well && c.State != Manual:
		return version + " is not healthy here."
	}
	return ""
}

// facts are what gates ask beside the files, by what the clusters show now.
func (l *look) facts(r *registry.Release) gate.Facts {
	f := gate.Facts{Now: l.followed.now(), Floor: l.Floor(r.Environment.Name)}
	if now := l.models.Release(r.Key()); now != nil {
		f.Serving = now.ModelVersion
		if row := l.row(r.Key()); row != nil && row.Model == now.Model.Name && now.Model.Versions[row.Version] != nil {
			f.Serving = now.Model.Versions[row.Version]
		}
	}
	f.HealthyIn = func(environment string) (since time.Time, known bool) {
		row := l.row(registry.Key{Environment: environment, Name: r.Name})
		switch {
		case row == nil:
			return time.Time{}, false
		case row.Model != r.Model.Name || row.Version != r.ModelVersion.Name || row.Phase != v1alpha1.Healthy:
			return time.Time{}, true
		}
		return row.Since, !row.Since.IsZero()
	}
	return f
}

// depends finds those that the release waits for, and that wait for it.
func (d *detail) depends(context.Context) {
	want := d.wanted()
	if want == nil {
		return
	}
	cell := func(name string) *Cell {
		key := registry.Key{Environment: d.key.Environment, Name: name}
		if row := d.row(key); row != nil {
			return d.cell(row)
		}
		return d.cell(&Row{Environment: key.Environment, Release: name, key: key})
	}
	for _, name := range want.Serving.DependsOn {
		d.out.DependsOn = append(d.out.DependsOn, cell(name))
	}
	for _, r := range d.models.Releases {
		if r.Environment.Name == d.key.Environment && slices.Contains(r.Serving.DependsOn, d.key.Name) {
			d.out.NeededBy = append(d.out.NeededBy, cell(r.Name))
		}
	}
}
