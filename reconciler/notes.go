package reconciler

import (
	"context"
	"sync"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// Event is an outcome of a ModelRelease as the note on its commit says it.
func Event(key registry.Key, o v1alpha1.Outcome) gitops.Event {
	e := gitops.Event{
		At: o.At.UTC(), Release: key.String(), Outcome: string(o.Outcome), Version: o.Version, Image: o.Image, From: o.From,
		Reason: o.Reason, Message: o.Message, Log: o.Log, By: o.By,
	}
	if !o.Applied.IsZero() {
		e.Applied = o.Applied.UTC()
	}
	if o.Serves != nil {
		e.Serves, e.Commit = o.Serves.Version, o.Serves.Commit
	}
	if o.ExitCode != nil {
		code := int(*o.ExitCode)
		e.ExitCode = &code
	}
	return e
}

func (r *Reconciler) event(key registry.Key, o v1alpha1.Outcome) gitops.Event {
	e := Event(key, o)
	e.Controller = r.cfg.Name
	return e
}

// note hands the outcomes that a status was just written with to whoever keeps them elsewhere. They are in the
// ModelRelease by now: a process that ends before they are in Git leaves them to the next one (see recollect).
func (r *Reconciler) note(s *state) {
	outcomes := s.release.Status.Outcomes
	before := s.seen.Load()
	s.show() // before anybody is told to look
	r.stood(s.key, before, s.seen.Load())
	for _, o := range outcomes {
		if markOf(o) == s.noted {
			break
		}
		if r.cfg.Notes != nil {
			r.cfg.Notes.Add(gitops.ParseHash(o.Commit), r.event(s.key, o))
		}
		r.came(s.key, o)
	}
	s.noted = newest(outcomes)
}

// shown is what a status says, for those who read it while the release is worked on: a build may take hours.
type shown struct {
	outcomes []v1alpha1.Outcome
	held     *v1alpha1.HeldRevision
	healthy  v1alpha1.Revision
}

// show takes over a status that was written.
func (s *state) show() {
	s.seen.Store(seenIn(s.release))
	st := s.release.Status
	s.stands.Store(string(st.Phase))
	s.shown.Store(&shown{st.Outcomes, st.Held.DeepCopy(), st.Healthy})
	s.steady.Store(s.healthySince())
}

// mark tells an outcome from others of its release.
type mark struct {
	outcome v1alpha1.Phase
	commit  string
	at      int64
}

func markOf(o v1alpha1.Outcome) mark { return mark{o.Outcome, o.Commit, o.At.Unix()} }

func newest(outcomes []v1alpha1.Outcome) mark {
	if len(outcomes) == 0 {
		return mark{}
	}
	return markOf(outcomes[0])
}

// left is an outcome that an earlier process may not have brought into Git.
type left struct {
	release string
	mark
}

// recollect hands over the outcomes in the ModelReleases of a site that no note tells of.
func (r *Reconciler) recollect(ctx context.Context, outcomes map[left]*v1alpha1.Outcome, keys map[string]registry.Key) {
	commits := map[gitops.Hash]bool{}
	for l := range outcomes {
		commits[gitops.ParseHash(l.commit)] = true
	}
	err := r.cfg.Source.EachEvent(ctx, commits, func(e gitops.Noted) {
		delete(outcomes, left{e.Release, mark{v1alpha1.Phase(e.Outcome), e.Commit.String(), e.At.Unix()}})
	})
	if err != nil {
		r.cfg.Log.Error("outcomes of an earlier process not compared with Git's", "error", err)
		return
	}
	for l, o := range outcomes {
		r.cfg.Notes.Add(gitops.ParseHash(l.commit), r.event(keys[l.release], *o))
	}
}

// outcomes lists what the ModelReleases of a site tell.
func (r *Reconciler) outcomes(site *site) (map[left]*v1alpha1.Outcome, map[string]registry.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, keys := map[left]*v1alpha1.Outcome{}, map[string]registry.Key{}
	for key, s := range r.states {
		if s.release == nil || r.site(key.Environment) != site {
			continue
		}
		name := key.String()
		for i := range s.release.Status.Outcomes {
			o := &s.release.Status.Outcomes[i]
			all[left{name, markOf(*o)}], keys[name] = o, key
		}
	}
	return all, keys
}

// runNotes writes the notes until the returned function is called, which is after the last outcome.
func (r *Reconciler) runNotes(ctx context.Context) (end func()) {
	if r.cfg.Notes == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { r.cfg.Notes.Run(ctx) })
	return func() {
		r.aside.Wait()
		cancel()
		running.Wait()
	}
}
