package capacity

import (
	"cmp"
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
)

// Release is what one release asks for.
type Release struct {
	// Name is how people call it: "production/llama".
	Name string
	// Namespace and Label tell its pods: they bear Label as davit.dev/release.
	Namespace, Label string
	// Pods is empty for a release that goes.
	Pods []Pods
	// Rolls says that its running pods are replaced, and their places are free for the new ones. Otherwise they
	// stay, and places are looked for only for those that are not there yet.
	Rolls bool
	// Fewer is how many of its running pods go though it does not roll.
	Fewer int
	// Whole says that another whole set of pods runs beside the old one until it has taken over.
	Whole bool
}

// Replace says how the pods of before make way for those of after: whether any is replaced, and whether the old ones
// stay until all the new ones are healthy, since other objects make these.
func Replace(before, after []Pods) (rolls, whole bool) {
	old := map[string]*Pods{}
	for i := range before {
		old[before[i].Object] = &before[i]
	}
	for i := range after {
		p := &after[i]
		was := old[p.Object]
		delete(old, p.Object)
		if was == nil {
			rolls, whole = true, true
		} else if !equality.Semantic.DeepEqual(was.template, p.template) || !equality.Semantic.DeepEqual(was.Claims, p.Claims) {
			rolls = true
		}
	}
	return rolls || len(old) > 0, whole || len(old) > 0
}

// Fewer is how many pods the change from before to after takes away. With an autoscaler nobody knows.
func Fewer(before, after []Pods) int {
	n := 0
	for _, p := range before {
		if n += p.Count; p.Most > 0 {
			return 0
		}
	}
	for _, p := range after {
		if n -= p.Count; p.Most > 0 {
			return 0
		}
	}
	return max(n, 0)
}

// Fit finds places for the pods of releases and tells which of them would wait. A pod that needs no more than the
// one it replaces takes its place; the others go largest first, each to the first node with room.
func Fit(ctx context.Context, s *State, releases []Release) ([]Wait, error) {
	at := map[[2]string][]Running{}
	for _, p := range s.Running {
		at[p.place()] = append(at[p.place()], p)
	}
	var all []*planned
	surges := false
	for _, r := range releases {
		p := &planned{Release: r, running: at[[2]string{r.Namespace, r.Label}]}
		p.count(s)
		surges = surges || p.more() > 0
		all = append(all, p)
	}
	waits, err := fit(ctx, s, all, false)
	if err != nil || !surges {
		return waits, err
	}
	// What has room once it has rolled out may have none while the old pods still run.
	rolling, err := fit(ctx, s, all, true)
	for _, w := range rolling {
		if w.Rolling && !slices.ContainsFunc(waits, func(o Wait) bool { return o.Release == w.Release && o.Object == w.Object }) {
			waits = append(waits, w)
		}
	}
	slices.SortStableFunc(waits, func(a, b Wait) int { return cmp.Compare(a.Release, b.Release) })
	return waits, err
}

func (p Running) place() [2]string { return [2]string{p.Namespace, p.Release} }

// planned is a release and the pods it has.
type planned struct {
	Release
	sets    []Pods
	running []Running
}

// count fixes how many pods each set has: an autoscaler keeps the number it has come to.
func (p *planned) count(s *State) {
	for _, set := range p.Pods {
		set = s.translated(set)
		if n := len(p.running); set.Most > 0 && len(p.Pods) == 1 {
			set.Count = max(set.Count, min(n, set.Most))
		}
		if p.Whole {
			set.surge = func(count int) int { return count }
		}
		p.sets = append(p.sets, set)
	}
}

// more is how many pods have to come before an old one goes.
func (p *planned) more() (n int) {
	if !p.Rolls || len(p.running) == 0 {
		return 0
	}
	for i := range p.sets {
		n += p.sets[i].Surge()
	}
	return n
}

// places are pods of one set that look for places.
type places struct {
	release *planned
	pods    *Pods
	of      int // all there are to be
	left    int // that have none yet
	surge   bool
}

// fit places all pods as they are to be, or, when rolling, those that surge while the old ones still run.
func fit(ctx context.Context, s *State, releases []*planned, rolling bool) ([]Wait, error) {
	r := newRoom(s)
	var all []*places
	var swaps []swap
	for _, p := range releases {
		sets := p.places(rolling)
		all = append(all, sets...)
		switch {
		case !p.Rolls:
			fewer := p.Fewer
			for _, old := range p.running {
				switch pl := like(old, sets); {
				case pl == nil && fewer > 0:
					r.release(old)
					fewer--
				case pl == nil: // of a rollout before that is kept, say
				case !sameDevices(pl.pods.Needs, old.Needs):
					r.release(old) // it is of a revision that the cluster has yet to leave
					swaps = append(swaps, swap{old, sets})
				default:
					pl.left--
				}
			}
		case rolling && p.more() > 0: // the old ones stay for now
		default:
			for _, old := range p.running {
				r.release(old)
				swaps = append(swaps, swap{old, sets})
			}
		}
	}
	if err := r.swap(ctx, swaps); err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b *places) int { return cmp.Or(surgeLast(a, b), largest(a.pods, b.pods)) })
	var waits []Wait
	for _, pl := range all {
		err := r.fill(ctx, pl)
		if err != nil && ctx.Err() != nil {
			return nil, err
		}
		if pl.left > 0 {
			waits = append(waits, r.wait(pl, err))
		}
	}
	slices.SortStableFunc(waits, func(a, b Wait) int { return cmp.Compare(a.Release, b.Release) })
	return waits, nil
}

func (p *planned) places(rolling bool) (all []*places) {
	surge := rolling && p.more() > 0
	for i := range p.sets {
		n := p.sets[i].Count
		if surge {
			n = p.sets[i].Surge()
		}
		all = append(all, &places{release: p, pods: &p.sets[i], of: n, left: n, surge: surge})
	}
	return all
}

// like is the set that a pod belongs to: one with the same devices, or else any that lacks pods.
func like(old Running, sets []*places) *places {
	var best *places
	for _, pl := range sets {
		if pl.left > 0 && (best == nil || sameDevices(pl.pods.Needs, old.Needs) && !sameDevices(best.pods.Needs, old.Needs)) {
			best = pl
		}
	}
	return best
}

// swap is a pod's place for one of its successors.
type swap struct {
	old  Running
	sets []*places
}

// swap puts new pods where their predecessors run; first those that need no more than those, so that none that
// grows takes their place.
func (r *room) swap(ctx context.Context, swaps []swap) error {
	for _, grows := range []bool{false, true} {
		for _, w := range swaps {
			n, pl := r.nodes[w.old.Node], like(w.old, w.sets)
			if n == nil || pl == nil || grows == w.old.Needs.cover(pl.pods.Needs) {
				continue
			}
			ok, err := r.place(ctx, pl.pods, n)
			if err != nil && ctx.Err() != nil {
				return err
			}
			if ok {
				pl.left--
			}
		}
	}
	return nil
}

// fill places pods on the first nodes that have room. An error is about the pods' own device claims.
func (r *room) fill(ctx context.Context, pl *places) error {
	for _, n := range r.state.Nodes {
		for pl.left > 0 {
			ok, err := r.place(ctx, pl.pods, n)
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			pl.left--
		}
	}
	return nil
}

// surgeLast has pods that surge come after all others: what takes their room may keep it for good.
func surgeLast(a, b *places) int {
	switch {
	case a.surge == b.surge:
		return 0
	case a.surge:
		return 1
	}
	return -1
}

// largest orders pods by the devices they want, then by memory and cpu.
func largest(a, b *Pods) int {
	return cmp.Or(cmp.Compare(b.devices(), a.devices()), cmp.Compare(b.Needs["memory"], a.Needs["memory"]), cmp.Compare(b.Needs["cpu"], a.Needs["cpu"]))
}

func (p *Pods) devices() (n int64) {
	for _, a := range p.asks() {
		n += a.n
	}
	return n
}
