package fleet

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/status"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// patience is how long what a cluster or the repository tells of one release is waited for: a page without it is better
// than none.
const patience = 3 * time.Second

// Release tells of one release; nil when it is neither in the cluster nor on the branch, or not the viewer's to see. What a
// cluster or the repository did not tell in time is left out, and noted.
func (f *Fleet) Release(ctx context.Context, v Viewer, name string, key registry.Key) *Release {
	r := f.of(name)
	if r == nil || !v.may(name, key.Environment) {
		return nil
	}
	l := r.look()
	places := l.places(v, key.Name)
	i := slices.IndexFunc(places, func(c *Cell) bool { return c.Environment == key.Environment })
	if i < 0 {
		return nil
	}
	out := &Release{Cell: *places[i], Tip: l.tip(), Places: places, Acts: f.Acts(v, name, key), Findings: []Finding{}, History: []Revision{}}
	d := &detail{look: l, out: out, key: key, v: v, now: f.cfg.Now()}
	mr, err := l.read(ctx, key)
	if err != nil {
		d.note("the cluster does not answer: this is what it told last", err)
	}
	if mr == nil && out.Version != "" {
		out.Current = &Revision{Commit: out.Commit, Version: out.Version, Since: out.Since}
	}
	if mr != nil {
		d.mr = mr
		if !v.seesLogs(name, key.Environment) {
			d.mr = quietly(mr)
		}
		d.tell()
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	d.also(ctx)
	for _, err := range d.errs {
		f.cfg.Log.Warn("not all is known of a release", "release", key.String(), "error", gitops.RedactText(err.Error()))
	}
	slices.Sort(out.Notes)
	return out
}

// read reads a release from its cluster, for half as long as the rest may take.
func (l *look) read(ctx context.Context, key registry.Key) (*v1alpha1.ModelRelease, error) {
	ctx, cancel := context.WithTimeout(ctx, patience/2)
	defer cancel()
	return l.modelRelease(ctx, key)
}

// detail is the answer on one release being made.
type detail struct {
	*look
	out *Release
	key registry.Key
	v   Viewer
	now time.Time
	mr  *v1alpha1.ModelRelease // nil when it is not in the cluster, or that does not answer

	mu   sync.Mutex
	errs []error
}

// note says what could not be had, in words for whoever looks, and why, for the log.
func (d *detail) note(what string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.out.Notes = append(d.out.Notes, what)
	d.errs = append(d.errs, err)
}

// also reads, all at once, what is not in the ModelRelease.
func (d *detail) also(ctx context.Context) {
	parts := []func(context.Context){d.past, d.next, d.depends}
	if d.mr != nil {
		parts = append(parts, d.live, d.drift, d.revisions)
	} else {
		parts = append(parts, func(ctx context.Context) { d.who(ctx, d.out.Current) })
	}
	var work sync.WaitGroup
	for _, part := range parts {
		work.Go(func() { part(ctx) })
	}
	work.Wait()
	outcomes(d.out.History, d.mr)
}

// outcomes fills in what a ModelRelease tells of revisions of which Git does not: its last five.
func outcomes(all []Revision, mr *v1alpha1.ModelRelease) {
	if mr == nil {
		return
	}
	for i := range all {
		r := &all[i]
		for _, o := range mr.Status.Outcomes {
			if o.Commit != r.Commit || o.Version != r.Version {
				continue
			}
			r.Image = cmp.Or(r.Image, o.Image)
			if r.Outcome == "" {
				r.Outcome, r.Reason, r.Message, r.Since, r.By = string(o.Outcome), o.Reason, plain(o.Message), o.At.Time, o.By
			}
		}
		for _, known := range []v1alpha1.Revision{mr.Status.Applied, mr.Status.Healthy} {
			if known.Commit == r.Commit && known.Version == r.Version {
				r.Image = cmp.Or(r.Image, known.Image)
			}
		}
	}
}

// places are the release's cells in all environments that the viewer may see, in the order of promotions.
func (l *look) places(v Viewer, name string) []*Cell {
	line := &Line{Release: name, Cells: l.named(v, name)}
	order := l.environments()
	slices.SortFunc(line.Cells, func(a, b *Cell) int {
		return cmp.Compare(slices.Index(order, a.Environment), slices.Index(order, b.Environment))
	})
	line.offers()
	return line.Cells
}

// environments are all there are, on the branch and in the clusters, in the order in which versions go through them.
func (l *look) environments() (names []string) {
	heads := map[string]*Head{}
	if l.models != nil {
		for name := range l.models.Environments {
			heads[name] = &Head{Name: name}
		}
	}
	for _, p := range l.all() {
		if name := p.Load().Environment; heads[name] == nil {
			heads[name] = &Head{Name: name}
		}
	}
	for _, h := range l.columns(heads) {
		names = append(names, h.Name)
	}
	return names
}

// tell says what the ModelRelease holds.
func (d *detail) tell() {
	mr, out := d.mr, d.out
	st := &mr.Status
	out.Stands, out.Message = status.Stands(mr), plain(st.Message)
	if h := st.Healthy; h.Commit != "" {
		out.LastHealthy = d.revision(h)
	}
	if h := st.Held; h != nil {
		out.HeldBack = &Revision{Commit: h.Commit, Version: h.Version, Since: h.Time.Time, Reason: plain(h.Reason), Proposal: h.Proposal, Outcome: string(v1alpha1.Held)}
	}
	if claim := mr.Spec.Claim; mr.Pending() {
		out.Coming = &Revision{Commit: claim.Commit, Version: claim.Version, Since: claim.Time.Time, By: claim.Holder}
	} else if t := st.Traffic; t != nil && t.Next != "" && st.Healthy.Commit != "" {
		out.Coming = d.revision(st.Applied)
	}
	d.traffic()
	d.metrics()
}

func (d *detail) revision(r v1alpha1.Revision) *Revision {
	return &Revision{Commit: r.Commit, Version: r.Version, Image: r.Image, Since: r.Time.Time}
}

func (d *detail) traffic() {
	t := d.mr.Status.Traffic
	if t == nil || t.Next == "" && !t.KeptUntil.After(d.now) {
		return
	}
	r := &Rollout{Serving: t.Serving, Next: t.Next, Weight: int(t.Weight), Step: int(t.Step), Since: t.Since.Time}
	if t.KeptUntil.After(d.now) {
		r.Kept, r.KeptUntil = t.Kept, t.KeptUntil.Time
	}
	if want := d.wanted(); want != nil && t.Next != "" {
		r.Checks = want.Serving.Rollout.Checks
		for i, s := range want.Serving.Rollout.CanarySteps() {
			state := "to come"
			switch {
			case i+1 < int(t.Step):
				state = "done"
			case i+1 == int(t.Step):
				state = "now"
			}
			r.Steps = append(r.Steps, Step{s.Weight, time.Duration(s.Pause).String(), state})
		}
	}
	d.out.Rollout = r
}

// wanted is the release as the branch has it; nil where it has none.
func (d *detail) wanted() *registry.Release {
	if d.models == nil {
		return nil
	}
	return d.models.Release(d.key)
}

func (d *detail) metrics() {
	m := d.mr.Status.Serving
	if m == nil {
		return
	}
	d.out.Measured = m.At.Time
	d.out.Metrics = measures(m)
}

// quietly is a ModelRelease without what a container wrote.
func quietly(mr *v1alpha1.ModelRelease) *v1alpha1.ModelRelease {
	mr = mr.DeepCopy()
	st := &mr.Status
	said := ""
	for i := range st.Outcomes {
		o := &st.Outcomes[i]
		o.Log = ""
		if said == "" && (o.Outcome == v1alpha1.Failed || o.Outcome == v1alpha1.RolledBack) {
			said = o.Message
		}
	}
	switch st.Phase {
	case v1alpha1.Failed, v1alpha1.Held, v1alpha1.RolledBack:
		st.Message = said
	case v1alpha1.Waiting, v1alpha1.Progressing:
		st.Message, _, _ = strings.Cut(st.Message, "\n")
	}
	if st.Held != nil {
		st.Held.Reason = said
	}
	return mr
}

// healthOptions are what the release's health goes by.
func healthOptions(r *registry.Release) (o cluster.HealthOptions) {
	if r == nil {
		return o
	}
	o.StartupTimeout = r.Serving.Rollout.StartupTimeout.Or(10 * time.Minute)
	for _, e := range r.Environment.Spec.HealthCheckExprs {
		o.Exprs = append(o.Exprs, cluster.HealthExpr{APIVersion: e.APIVersion, Kind: e.Kind, Current: e.Current, InProgress: e.InProgress, Failed: e.Failed})
	}
	return o
}
