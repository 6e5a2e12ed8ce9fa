package reconciler

import (
	"context"
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// parting is how far a release that goes has come.
type parting int

const (
	notParted    parting = iota
	parted               // its objects are gone, and its outcome is on its way into Git
	partingNoted         // its outcome is there, or can't come there
)

// part deletes the objects of a release, and has its ModelRelease, which alone would tell the next process of it, wait until that is a
// note on the commit that took its files away; for no longer than Git takes notes.
func (r *Reconciler) part(ctx context.Context, want *desired, s *state, mr elsewhere) error {
	const waits = "its objects are deleted, and its ModelRelease goes when its outcome is in Git"
	switch {
	case r.cfg.Notes == nil || s.parting.Load() == int32(partingNoted):
		return nil
	case s.parting.Load() == int32(parted):
		return &parkedError{waits}
	}
	if err := r.there(ctx, mr, (*cluster.Cluster).Empty); err != nil {
		return fmt.Errorf("deleting %s: %w", s.key, err)
	}
	r.freed(want, s)
	s.inCluster.Store(false)
	commit, known := r.removedBy(ctx, want, s.key, mr.Status.Applied), false
	err := r.cfg.Source.EachEvent(ctx, map[gitops.Hash]bool{commit: true}, func(e gitops.Noted) {
		known = known || e.Release == s.key.String() && e.Outcome == string(Removed)
	})
	if err != nil || known {
		return err
	}
	s.parting.Store(int32(parted))
	was := mr.Status.Applied
	r.cfg.Notes.AddThen(commit, r.event(s.key, v1alpha1.Outcome{Outcome: Removed, Version: was.Version, Image: was.Image, At: metav1.Now()}), func() {
		s.parting.CompareAndSwap(int32(parted), int32(partingNoted))
		r.enqueue(s.key)
	})
	return &parkedError{waits}
}

// removedBy is the commit that took a release's files away.
func (r *Reconciler) removedBy(ctx context.Context, want *desired, key registry.Key, was v1alpha1.Revision) gitops.Hash {
	commit, folder := want.snapshot.Hash(), "releases/"+key.Name+"/"
	err := r.cfg.Source.FirstParents(ctx, commit, func(c gitops.Commit, paths []string) (bool, error) {
		for _, p := range paths {
			if strings.HasPrefix(p, folder) || strings.Contains(p, "/"+folder) {
				commit = c.Hash
				return false, nil
			}
		}
		return c.Hash.String() != was.Commit, nil
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		r.cfg.Log.Warn("commit that removed a release not found", "release", key.String(), "error", err)
	}
	return commit
}
