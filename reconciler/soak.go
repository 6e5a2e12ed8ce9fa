package reconciler

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
)

// soak is how long a shared change stays in a wave of its releases: as the environment says, or less where the commit does
// and a key of the role [registry.Urgent] signed that. It also says by whom it is less, or why what the commit asks for is
// not heeded.
func (r *Reconciler) soak(ctx context.Context, next *desired, commit gitops.Hash, keys []registry.Key) (soak time.Duration, by string, err error) {
	first := next.models.Release(keys[0])
	soak = first.Environment.Spec.Fleet.Soak.Or(0)
	if soak == 0 {
		return 0, "", nil
	}
	c, err := r.cfg.Source.Commit(ctx, commit)
	if err != nil {
		return 0, "", fmt.Errorf("reading commit %s: %w", commit, err)
	}
	if asks, err := r.asksToSoak(ctx, c); err != nil || !asks {
		return soak, "", err
	}
	ignored := func(why string) (time.Duration, string, error) {
		return soak, fmt.Sprintf("%s is not heeded: %s", soakTrailer, why), nil
	}
	signers, err := roleSigners(gate.Policy(first, r.floorOf(first.Environment.Name)).Roles[registry.Urgent])
	switch {
	case err != nil:
		return ignored(err.Error())
	case signers == nil:
		return ignored("no key has the role " + registry.Urgent)
	}
	paths, opens, err := r.sharedPaths(ctx, next, commit, keys)
	if err != nil {
		return 0, "", err
	}
	value, signer, refused, err := r.signedTrailer(ctx, c, soakTrailer, paths, opens, signers)
	if err != nil {
		return 0, "", fmt.Errorf("verifying the signature of %s: %w", commit, err)
	}
	if signer == "" {
		return ignored(refused)
	}
	short, err := time.ParseDuration(value)
	switch {
	case err != nil || short < 0:
		return ignored(fmt.Sprintf("%q is no length of time such as 5m", value))
	case short >= soak:
		return ignored(fmt.Sprintf("%s is not less than the environment's %s", short, soak))
	}
	return short, fmt.Sprintf("%s between waves and not %s, by %s", short, soak, signer), nil
}

// asksToSoak says whether a commit, or one that it merged, has the trailer at all.
func (r *Reconciler) asksToSoak(ctx context.Context, c gitops.Commit) (asks bool, err error) {
	if _, asks = c.Trailer(soakTrailer); asks || len(c.Parents) < 2 {
		return asks, nil
	}
	n := 0
	err = r.cfg.Source.Merged(ctx, c.Hash, func(m gitops.Commit, _ []string) (bool, error) {
		_, asks = m.Trailer(soakTrailer)
		n++
		return !asks && n < maxMerged, nil
	})
	if err != nil {
		return false, fmt.Errorf("reading what %s merged: %w", c.Hash, err)
	}
	return asks, nil
}

// sharedPaths are the files a commit changed, and which of them some releases may open.
func (r *Reconciler) sharedPaths(ctx context.Context, next *desired, commit gitops.Hash, keys []registry.Key) (paths []string, opens func(string) bool, err error) {
	err = r.cfg.Source.FirstParents(ctx, commit, func(_ gitops.Commit, changed []string) (bool, error) {
		paths = changed
		return false, nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("reading commit %s: %w", commit, err)
	}
	return paths, func(name string) bool {
		return slices.ContainsFunc(keys, func(key registry.Key) bool { return next.models.Release(key).Opens(name) })
	}, nil
}

// tellSoak tells those who look at the first releases of a rollout that somebody hastened it, or tried to.
func (r *Reconciler) tellSoak(w *rollout) {
	if w.hastened == "" {
		return
	}
	r.cfg.Log.Warn("a shared change asks to soak for less", "environment", w.environment, "commit", w.commit.String(), "soak", w.hastened)
	for _, key := range w.order[:w.sizes[0]] {
		s := r.state(key)
		if site := r.site(key.Environment); site != nil && s.work.TryLock() {
			if s.release != nil {
				site.event(s.release, "Warning", "Soak", fmt.Sprintf("shared change %.12s: %s", w.commit.String(), w.hastened))
			}
			s.work.Unlock()
		}
	}
}
