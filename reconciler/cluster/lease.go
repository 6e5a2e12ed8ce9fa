package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// A leader that stops renews no more: the next one has the Lease at most leaseDuration later, and at once when the
// leader ended in an orderly way. A leader that can't renew stops working renewDeadline after its last renewal, before
// another may begin.
const (
	leaseDuration = 6 * time.Second
	renewDeadline = 4 * time.Second
	retryPeriod   = time.Second
)

// Lead runs lead whenever this process, the Config's Holder, has the Lease, until ctx ends. The context lead gets
// ends when the Lease is lost, and lead has to return then; it is run again when the Lease is had again. An error of
// lead ends Lead. From then on c, and what With makes of it, writes nothing without the Lease: that is ErrNotLeading.
func (c *Cluster) Lead(ctx context.Context, namespace, name string, lead func(context.Context) error) error {
	c.cfg.fence.leads.Store(true)
	lock := &timedLock{&resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: name},
		Client:     c.typed.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: c.holder},
	}, c.cfg.fence}
	for ctx.Err() == nil {
		if err := c.term(ctx, lock, lead); err != nil {
			return err
		}
	}
	return nil
}

// term is one time of leadership: it returns when lead has returned, or when ctx ended before it began. The Lease is
// given up after that and not before, so that the next leader finds nothing half done by this one.
func (c *Cluster) term(ctx context.Context, lock resourcelock.Interface, lead func(context.Context) error) error {
	holding, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	const waiting, leading, leaving = 0, 1, 2
	var state atomic.Int32
	defer context.AfterFunc(ctx, func() {
		if state.CompareAndSwap(waiting, leaving) {
			release()
		}
	})()
	ended := make(chan error, 1)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
		ReleaseOnCancel: true, Name: lock.Describe(),
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(held context.Context) { // its context ends when the Lease is lost
				defer release()
				if !state.CompareAndSwap(waiting, leading) {
					ended <- nil
					return
				}
				held, cancel := context.WithCancel(held)
				defer cancel()
				defer context.AfterFunc(ctx, cancel)()
				ended <- lead(held)
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("leader election: %w", err)
	}
	elector.Run(holding)
	if state.Load() == leaving {
		return nil
	}
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
