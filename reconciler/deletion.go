package reconciler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// deletesFor is how long the releases of a ModelRegistry may take to be deleted before it is tried again: ten thousand take
// some minutes.
const deletesFor = 10 * time.Minute

// leave is what becomes of the releases of a ModelRegistry that was deleted: nothing, or by its deletionPolicy Delete they
// are deleted with their objects and the copies of pull secrets, wherever the registry had any. It is tried as often as it
// takes, until more ends: another one of its name has come, which is not to find half of them. There is no finalizer, and so
// the next process does not know of it. Runs of trainings are left to end, as is what they made; namespaces and CRDs always
// stay.
func (cfg ControllerConfig) leave(ctx, more context.Context, mr *v1alpha1.ModelRegistry) {
	log := cfg.Log.With("registry", mr.Name)
	cfg.Metrics.Forget(mr.Name)
	if mr.Spec.DeletionPolicy != v1alpha1.Delete {
		log.Info("ModelRegistry was deleted; its releases stay as they are")
		return
	}
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		once, cancel := context.WithTimeout(ctx, deletesFor)
		err := cfg.deleteAll(once, mr, log)
		cancel()
		if err == nil || ctx.Err() != nil {
			return
		}
		if errors.As(err, new(*cluster.UninstalledError)) {
			log.Warn("releases of a deleted ModelRegistry stay as they are", "why", err)
			return
		}
		log.Error("releases of a deleted ModelRegistry not deleted; it is tried again unless another one of its name is there", "error", err)
		select {
		case <-more.Done():
			return
		case <-time.After(wait):
		}
	}
}

// deleteAll deletes the releases in every place of the registry, former ones included, once each place can be reached.
func (cfg ControllerConfig) deleteAll(ctx context.Context, mr *v1alpha1.ModelRegistry, log *slog.Logger) error {
	if err := cfg.Cluster.Installed(ctx, mr); err != nil {
		return err
	}
	var errs []error
	for _, place := range mr.Status.Places {
		if !cfg.mine(place.Environment) {
			continue
		}
		grant, err := cfg.grant(ctx, mr, v1alpha1.EnvironmentGrant{
			Name: place.Environment, Cluster: place.Cluster, Namespaces: place.Namespaces, ServiceAccount: place.ServiceAccount,
		}, owner(mr))
		if err == nil {
			var n int
			if n, err = deleteReleases(ctx, grant.Cluster, place.Environment, owner(mr)); err == nil {
				err = removeCopies(ctx, grant.Cluster, mr, place)
			}
			log.Info("releases of a deleted ModelRegistry deleted", "environment", place.Environment, "releases", n)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("environment %q: %w", place.Environment, err))
		}
	}
	return errors.Join(errs...)
}

// deleteReleases deletes an owner's releases of an environment, some at once; the cluster bounds how many writes that are.
func deleteReleases(ctx context.Context, in *cluster.Cluster, environment, owner string) (n int, err error) {
	all, err := in.Releases(ctx)
	if err != nil {
		return 0, err
	}
	var (
		work    sync.WaitGroup
		deleted atomic.Int64
		mu      sync.Mutex
		errs    []error
	)
	turns := make(chan struct{}, 16)
	for _, mr := range all {
		if mr.Spec.Environment != environment || mr.Spec.Owner != owner {
			continue
		}
		turns <- struct{}{}
		work.Go(func() {
			defer func() { <-turns }()
			if err := in.Delete(ctx, mr); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
				return
			}
			deleted.Add(1)
		})
	}
	work.Wait()
	return int(deleted.Load()), errors.Join(errs...)
}
