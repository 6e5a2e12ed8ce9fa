package reconciler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// lastInGit is what a release's outcomes in Git left it in.
type lastInGit struct {
	healthy notedOutcome // the last one; zero when it was never healthy
	bad     notedOutcome // what failed, or what a person turned away from, since; zero when nothing did
}

// regain gives a release that the cluster knows nothing of what its outcomes in Git left it in: the hold of a revision that
// failed, or a person's pin. A cluster that is made anew would otherwise bring the failed revision first, and have nothing
// to go back to. It says whether there is a ModelRelease now.
func (r *Reconciler) regain(ctx context.Context, want *desired, s *state, tip *target) (bool, error) {
	last, err := r.readLast(ctx, want.snapshot.Hash(), s)
	if err != nil || last.bad.commit.IsZero() {
		return false, err
	}
	served := v1alpha1.Revision{Commit: last.healthy.commit.String(), Version: last.healthy.version}
	if last.bad.what == v1alpha1.Pinned {
		served = v1alpha1.Revision{Commit: last.bad.serves.String(), Version: last.bad.servedVersion}
	} else if last.healthy.commit.IsZero() || tip.release.Environment.Spec.Rollback.OnFailure == "hold" || last.bad.version != tip.release.ModelVersion.Name {
		return false, nil // of another version is what a pin chose, and no commit asks for it
	}
	// Notes are written by more people than commits are followed of.
	err = r.followable(ctx, want, s.key.Environment, gitops.ParseHash(served.Commit))
	var t *target
	if err == nil {
		t, err = r.at(ctx, s, served, want.seen)
	}
	if _, stuck := errors.AsType[*stuckError](err); stuck || err == nil && t.key == tip.key {
		return false, nil // there is nothing to go back to, or no need
	}
	if err != nil {
		return false, err
	}
	if ended, err := r.overcome(ctx, want, tip, last.bad.commit); ended || err != nil {
		return false, err
	}
	if err := r.claim(ctx, s, t, nil); err != nil {
		return false, err
	}
	s.release.Status.Token = s.release.Spec.Claim.Token // nothing of it was applied
	r.cfg.Log.Info("held as the outcomes in Git tell", "release", s.key.String(), "outcome", string(last.bad.what), "commit", last.bad.commit.String())
	if last.bad.what == v1alpha1.Pinned {
		return true, r.pinAgain(ctx, s, last.bad)
	}
	return true, r.holdAgain(ctx, s, last, t.key)
}

// readLast reads it from Git. Outcomes are told to the second: those of one second are in the order of their commits, and of
// one commit for one that went well and then did not.
func (r *Reconciler) readLast(ctx context.Context, tip gitops.Hash, s *state) (st lastInGit, err error) {
	var all []notedOutcome
	if _, err = r.outcomesInGit(ctx, s.key, s.key, func(o notedOutcome) { all = append(all, o) }); err != nil {
		return st, err
	}
	back, err := r.howFarBack(ctx, tip, all)
	if err != nil {
		return st, err
	}
	slices.SortFunc(all, func(a, b notedOutcome) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(back[b.commit], back[a.commit]), cmp.Compare(ill(a), ill(b)))
	})
	for _, o := range all {
		switch o.what {
		case v1alpha1.Healthy:
			if st.healthy = o; st.bad.what != v1alpha1.Pinned || o.commit != st.bad.serves || o.version != st.bad.servedVersion { // a pin stays when what it chose is healthy
				st.bad = notedOutcome{}
			}
		case v1alpha1.Pinned:
			if !st.bad.failedPin(o) {
				st.bad = o
			}
		case v1alpha1.Failed, v1alpha1.RolledBack:
			st.bad = o
		case Removed:
			st = lastInGit{}
		}
	}
	return st, nil
}

// failedPin says that an outcome is of what a pin chose: within the second of the pin, and so in front of it.
func (o notedOutcome) failedPin(pin notedOutcome) bool {
	return o.what == v1alpha1.Failed && o.at == pin.at && o.commit == pin.serves && o.version == pin.servedVersion
}

// howFarBack counts the commits from the tip to each that has an outcome, where two are of the same second; elsewhere nobody
// needs to know. What is not in the history any more is further back than all of it.
func (r *Reconciler) howFarBack(ctx context.Context, tip gitops.Hash, all []notedOutcome) (map[gitops.Hash]int, error) {
	seconds, left := map[int64]bool{}, map[gitops.Hash]bool{}
	for _, o := range all {
		seconds[o.at], left[o.commit] = true, true
	}
	back, n := map[gitops.Hash]int{}, 0
	if len(seconds) == len(all) {
		return back, nil
	}
	err := r.cfg.Source.FirstParents(ctx, tip, func(c gitops.Commit, _ []string) (bool, error) {
		if n++; left[c.Hash] {
			back[c.Hash] = n
			delete(left, c.Hash)
		}
		return len(left) > 0, nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the history up to %s: %w", tip, err)
	}
	for commit := range left {
		back[commit] = n + 1
	}
	return back, nil
}

// ill is 1 for what did not go well, or not to its end.
func ill(o notedOutcome) int {
	if o.what == v1alpha1.Healthy {
		return 0
	}
	return 1
}

// overcome says that a commit after a bad one changed a file of the release's own, which ends holds and pins, or that the
// bad one is not in the history any more.
func (r *Reconciler) overcome(ctx context.Context, want *desired, tip *target, bad gitops.Hash) (bool, error) {
	ended, found := false, false
	err := r.cfg.Source.FirstParents(ctx, want.snapshot.Hash(), func(c gitops.Commit, paths []string) (bool, error) {
		if c.Hash == bad {
			found = true
			return false, nil
		}
		ended = slices.ContainsFunc(paths, tip.release.Owns)
		return !ended, nil
	})
	if err != nil {
		return false, fmt.Errorf("reading the history since %s: %w", bad, err)
	}
	return ended || !found, nil
}

func (r *Reconciler) holdAgain(ctx context.Context, s *state, last lastInGit, key string) error {
	st := &s.release.Status
	st.Healthy = v1alpha1.Revision{Commit: last.healthy.commit.String(), Version: last.healthy.version, InputKey: key, Time: metav1.Unix(last.healthy.at, 0)}
	st.Held = &v1alpha1.HeldRevision{
		Commit: last.bad.commit.String(), Version: last.bad.version, Reason: "it " + phrase(last.bad.what) + " by its outcome in Git", Time: metav1.Unix(last.bad.at, 0),
	}
	s.held.Store(true)
	s.still.Store(true)
	s.phase(v1alpha1.Progressing, "Recovered", fmt.Sprintf("%s is held as Git tells; %s comes back", last.bad.version, last.healthy.version))
	return r.write(ctx, s)
}

// unknown says that the cluster holds nothing of a release, or that a process ended before it wrote down what it found.
func (s *state) unknown() bool {
	return s.release == nil || s.release.Status.Phase == "" && s.release.Status.Applied.Commit == ""
}

func phrase(what v1alpha1.Phase) string {
	if what == v1alpha1.RolledBack {
		return "failed and was rolled back"
	}
	return "failed"
}

func (r *Reconciler) pinAgain(ctx context.Context, s *state, o notedOutcome) error {
	err := r.site(s.key.Environment).cluster.Ask(ctx, s.release, func(spec *v1alpha1.ModelReleaseSpec) {
		spec.Pin = &v1alpha1.Pin{
			Commit: o.serves.String(), Version: o.servedVersion, Tip: o.commit.String(), By: o.by,
			Reason: "pinned before, by its outcome in Git", At: metav1.NewMicroTime(time.Unix(o.at, 0)),
		}
	})
	if err != nil {
		return fmt.Errorf("pinning %s again: %w", s.key, err)
	}
	return r.refresh(ctx, s)
}
