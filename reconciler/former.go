package reconciler

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// Former is where an environment was before it moved to another cluster, or to a namespace its grant did not have.
// Each of its releases is deleted there when it is healthy where the environment is now.
type Former struct {
	Environment string
	// Cluster reads and deletes there.
	Cluster *cluster.Cluster
	// Left is called once, when no release is left there.
	Left func()
}

// former is a Former and how many releases are left there.
type former struct {
	Former
	releases atomic.Int64
}

// elsewhere is a release in a place it moved from.
type elsewhere struct {
	*v1alpha1.ModelRelease
	former *former // nil in the present cluster
}

// visit finds the releases that are left in a former place, however often it takes, and has them looked at.
func (r *Reconciler) visit(ctx context.Context, f *former) {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		releases, err := f.Cluster.Releases(ctx)
		if err == nil {
			r.found(f, releases)
			return
		}
		r.cfg.Log.Error("the environment's former place is not reachable; it is tried again", "environment", f.Environment, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (r *Reconciler) found(f *former, releases []*v1alpha1.ModelRelease) {
	f.releases.Add(1) // until all are counted
	for _, mr := range releases {
		if mr.Spec.Environment != f.Environment || mr.Spec.Owner != r.cfg.Owner {
			continue
		}
		f.releases.Add(1)
		s := r.state(registry.Key{Environment: f.Environment, Name: mr.Spec.Release})
		s.work.Lock()
		s.moved = append(s.moved, elsewhere{mr, f})
		s.inCluster.Store(true)
		s.recorded.Store(nil)
		s.work.Unlock()
		r.enqueue(s.key)
	}
	f.done()
}

func (f *former) done() {
	if f.releases.Add(-1) == 0 {
		f.Left()
	}
}

// leaveFormer deletes a release where it was before it moved.
func (r *Reconciler) leaveFormer(ctx context.Context, s *state) error {
	for len(s.moved) > 0 {
		old := s.moved[0]
		if err := r.delete(ctx, old); err != nil {
			return fmt.Errorf("deleting the release in its old namespace %s: %w", old.Namespace, err)
		}
		s.moved = s.moved[1:]
		if old.former != nil {
			old.former.done()
		}
	}
	return nil
}

// delete deletes a release from its cluster.
func (r *Reconciler) delete(ctx context.Context, mr elsewhere) error {
	return r.there(ctx, mr, (*cluster.Cluster).Delete)
}

// there does something to a release in its cluster, also when somebody labelled its ModelRelease meanwhile.
func (r *Reconciler) there(ctx context.Context, mr elsewhere, do func(*cluster.Cluster, context.Context, *v1alpha1.ModelRelease) error) error {
	in := r.site(mr.Spec.Environment).cluster
	if mr.former != nil {
		in = mr.former.Cluster
	}
	err := do(in, ctx, mr.ModelRelease)
	if !errors.Is(err, cluster.ErrConflict) {
		return err
	}
	fresh, readErr := in.Release(ctx, mr.Namespace, mr.Spec.Environment, mr.Spec.Release)
	if readErr != nil || fresh == nil || fresh.Spec.Claim != mr.Spec.Claim {
		return errors.Join(err, readErr)
	}
	*mr.ModelRelease = *fresh
	return do(in, ctx, mr.ModelRelease)
}
