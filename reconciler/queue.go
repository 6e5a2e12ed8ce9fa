package reconciler

import (
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/davit-dev/davit/registry"
)

// newQueue is a site's queue; its order tells how long the one that is next has waited.
func newQueue() (workqueue.TypedRateLimitingInterface[registry.Key], *order) {
	o := &order{}
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[registry.Key](200*time.Millisecond, time.Minute)
	queue := workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[registry.Key]{Queue: o})
	delaying := workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[registry.Key]{Queue: queue})
	return workqueue.NewTypedRateLimitingQueueWithConfig(limiter, workqueue.TypedRateLimitingQueueConfig[registry.Key]{DelayingQueue: delaying}), o
}

// order is first in, first out, as client-go's own, with the time each came. The workqueue calls it with its lock held;
// age may be asked at any time.
type order struct {
	mu    sync.Mutex
	items []queued
}

type queued struct {
	key registry.Key
	at  time.Time
}

// Touch is told that a queued release was queued again: it keeps its place.
func (o *order) Touch(registry.Key) {}

// Push adds one at the end.
func (o *order) Push(key registry.Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.items = append(o.items, queued{key, time.Now()})
}

// Len is how many wait.
func (o *order) Len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.items)
}

// Pop takes the first.
func (o *order) Pop() registry.Key {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := o.items[0].key
	o.items[0] = queued{} // its strings are not kept alive by what is behind it
	o.items = o.items[1:]
	return key
}

// age is how long the first has waited; 0 when none does.
func (o *order) age() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.items) == 0 {
		return 0
	}
	return time.Since(o.items[0].at)
}
