package reconciler

import (
	"context"
	"fmt"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// pinEnded is the first commit after a pin that changed a file of the release's own; zero while it lasts. Where the
// pin's tip is not in the history, nobody can say, and a person has to.
func (r *Reconciler) pinEnded(ctx context.Context, want *desired, s *state, release *registry.Release) (ended gitops.Hash, err error) {
	tip, from := want.snapshot.Hash(), gitops.ParseHash(s.release.Spec.Pin.Tip)
	if s.pin.looked == tip || release == nil {
		return gitops.Hash{}, nil
	}
	known := false
	if _, err := r.cfg.Source.Commit(ctx, from); err == nil {
		if known, err = r.cfg.Source.IsFirstParent(ctx, from, tip); err != nil {
			return gitops.Hash{}, fmt.Errorf("reading the history since %s: %w", from, err)
		}
	}
	if s.pin.lost = !known; known {
		err = r.cfg.Source.FirstParents(ctx, tip, func(c gitops.Commit, paths []string) (bool, error) {
			if c.Hash == from || c.Hash == s.pin.looked {
				return false, nil
			}
			for _, p := range paths {
				if release.Owns(p) {
					ended = c.Hash
				}
			}
			return true, nil
		})
		if err != nil {
			return gitops.Hash{}, fmt.Errorf("reading the history since %s: %w", from, err)
		}
	}
	if ended.IsZero() {
		s.pin.looked = tip
	}
	return ended, nil
}

// unpin takes a pin that has come to its end out of the ModelRelease, unless a person has put another in its place.
func (r *Reconciler) unpin(ctx context.Context, s *state, ended gitops.Hash) error {
	site, at := r.site(s.key.Environment), s.release.Spec.Pin.At
	err := site.cluster.Ask(ctx, s.release, func(spec *v1alpha1.ModelReleaseSpec) {
		if spec.Pin != nil && spec.Pin.At.Equal(&at) {
			spec.Pin = nil
		}
	})
	if err != nil {
		return fmt.Errorf("ending the pin of %s: %w", s.key, err)
	}
	text := fmt.Sprintf("no longer pinned to %s: commit %.12s changes the release's own files", s.pin.text, ended)
	site.event(s.release, "Normal", pinEnded, text)
	r.cfg.Log.Info("pin ended", "release", s.key.String(), "by", ended.String())
	return r.refresh(ctx, s)
}
