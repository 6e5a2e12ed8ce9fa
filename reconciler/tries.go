package reconciler

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// triesLook is how often a cluster is asked for the tries in it.
const triesLook = 3 * time.Minute

// runTries deletes the tries whose time is over, in each site's cluster, until stop.
func (r *Reconciler) runTries(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	for _, s := range r.sites {
		work.Go(func() { r.endTries(ctx, s) })
	}
	return func() {
		cancel()
		work.Wait()
	}
}

// endTries looks every few minutes, and when the next try's time is over. What goes wrong is logged once. A try's namespace
// belongs to no environment: a controller that was granted environments alone can't see it, and leaves it to those who may.
func (r *Reconciler) endTries(ctx context.Context, s *site) {
	told := ""
	for {
		now := time.Now()
		ended, next, err := s.cluster.EndTries(ctx, now)
		if ctx.Err() != nil {
			return
		}
		for _, name := range ended {
			r.cfg.Log.Info("a try's time is over", "namespace", name)
		}
		foreign := r.cfg.Cluster == nil && apierrors.IsForbidden(err)
		if err != nil && !foreign && err.Error() != told {
			told = err.Error()
			r.cfg.Log.Warn("tries are not ended", "error", err)
		}
		wait := triesLook
		if !next.IsZero() {
			wait = min(wait, max(next.Sub(now), 0)+time.Second/10)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}
