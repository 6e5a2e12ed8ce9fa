package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"
)

// kindWatch is the watch of one kind: an informer per namespace, or one for all. A kind that the API server
// does not have yet, or does not let davit watch, is tried again and holds up nothing.
type kindWatch struct {
	kind  schema.GroupKind
	w     *Watcher
	again chan struct{} // somebody saw the kind: look for it now
	tried chan struct{} // closed when the first list is there, or could not be had
	once  sync.Once     // closes tried

	mu        sync.Mutex
	informers map[string]cache.SharedIndexInformer // by namespace, under "" for all; nil until the kind is found
	writes    map[string]written                   // by key; davit's own ones that the watch has not shown yet
	// hashes are of davit's own last write of each object that is there: an inventory that was read again may be older
	// than it, and two writes within a second leave the same fields and time.
	hashes map[string]string
	why    error // why there is no first list
}

// written is an own write.
type written struct {
	version string
	at      time.Time
}

// The time between two looks for a kind the API server does not have: each costs a whole discovery.
const firstRetry, lastRetry = 5 * time.Second, 5 * time.Minute

func (w *Watcher) newKind(kind schema.GroupKind) *kindWatch {
	return &kindWatch{kind: kind, w: w, again: make(chan struct{}, 1), tried: make(chan struct{}), writes: map[string]written{}, hashes: map[string]string{}}
}

// run finds the kind and watches it until ctx ends.
func (k *kindWatch) run(ctx context.Context) {
	defer k.once.Do(func() { close(k.tried) })
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		m, err := k.w.c.anyMapping(k.kind)
		if err == nil {
			err = k.watch(ctx, m)
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		k.failed(err)
		select {
		case <-ctx.Done():
			return
		case <-k.again:
			wait = firstRetry
		case <-time.After(wait):
		}
	}
}

// anyMapping is of the version the API server prefers.
func (c *Cluster) anyMapping(kind schema.GroupKind) (*meta.RESTMapping, error) {
	m, err := c.mapper.RESTMapping(kind)
	if meta.IsNoMatchError(err) {
		c.mapper.Reset()
		m, err = c.mapper.RESTMapping(kind)
	}
	return m, err
}

func (k *kindWatch) failed(err error) {
	k.mu.Lock()
	k.why = err
	k.mu.Unlock()
	k.once.Do(func() {
		k.w.c.log.Warn("kind is not watched; it is tried again", "kind", k.kind.String(), "error", err)
		close(k.tried)
	})
}

// trouble is why the kind is not watched; nil while it is, or its first list is on the way.
func (k *kindWatch) trouble() error {
	if k == nil {
		return errNeverWatched
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, informer := range k.informers {
		if informer.HasSynced() {
			return nil
		}
	}
	return k.why
}

var errNeverWatched = errors.New("davit does not watch this kind")

// watch starts the informers and waits for them to end.
func (k *kindWatch) watch(ctx context.Context, m *meta.RESTMapping) error {
	if m.Scope.Name() != meta.RESTScopeNameNamespace {
		return fmt.Errorf("%s is cluster-wide", k.kind)
	}
	informers := map[string]cache.SharedIndexInformer{}
	var work sync.WaitGroup
	for _, namespace := range k.w.c.namespaces {
		informer, err := k.informer(m, namespace)
		if err != nil {
			return fmt.Errorf("setting up the watch of %s: %w", k.kind, err)
		}
		informers[namespace] = informer
	}
	k.mu.Lock()
	k.informers = informers
	k.mu.Unlock()
	for _, informer := range informers {
		work.Go(func() { informer.RunWithContext(ctx) })
	}
	defer work.Wait()
	for _, informer := range informers {
		select {
		case <-informer.HasSyncedChecker().Done():
		case <-ctx.Done():
			return nil
		}
	}
	k.once.Do(func() { close(k.tried) })
	return nil
}

func (k *kindWatch) informer(m *meta.RESTMapping, namespace string) (cache.SharedIndexInformer, error) {
	source, item := k.w.c.source(m, namespace)
	indexers := cache.Indexers{}
	transform := keep
	switch k.kind {
	case kindPod:
		transform, indexers[byRelease] = trim, releaseOf
	case kindReplicaSet:
		transform, indexers[byRelease] = keepSet, releaseOf
	}
	informer := cache.NewSharedIndexInformerWithOptions(source, item, cache.SharedIndexInformerOptions{
		Indexers: indexers, ObjectDescription: k.kind.String(),
	})
	if err := informer.SetTransform(transform); err != nil {
		return nil, err
	}
	err := informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, r *cache.Reflector, err error) {
		if !informer.HasSynced() && ctx.Err() == nil {
			k.failed(err)
		}
	})
	if err != nil {
		return nil, err
	}
	_, err = informer.AddEventHandler(k.handler())
	return informer, err
}

func (k *kindWatch) handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(o any, first bool) {
			k.arrived(o, false)
			if !first && !k.claimed(o) {
				k.w.tell(o)
			}
		},
		UpdateFunc: func(old, o any) {
			k.arrived(o, false)
			if differs(k.kind, old, o) && !k.claimed(o) {
				k.w.tell(o)
			}
		},
		DeleteFunc: func(o any) {
			if lost, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = lost.Obj
			}
			k.arrived(o, true)
			k.w.tell(o)
		},
	}
}

// claimed says that a change of a ModelRelease's spec is davit's own claim. Told of it, a release whose apply fails
// would claim again at once, and so for ever.
func (k *kindWatch) claimed(o any) bool {
	t, ok := o.(*tracked)
	if !ok || k.kind != kindRelease {
		return false
	}
	key := t.namespace + "/" + t.name
	own, ok := k.w.c.claims.Load(key)
	if !ok || t.generation > own.(int64) {
		return false
	}
	// An earlier one is no news either: the claim since then was made on it. A watch that lags would start the loop again.
	k.w.c.claims.CompareAndDelete(key, t.generation)
	return true
}

// arrived takes note that the watch shows an own write by now. The event of a deletion bears a version later
// than all writes.
func (k *kindWatch) arrived(o any, gone bool) {
	t, ok := o.(*tracked)
	if !ok {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.shown(t.namespace+"/"+t.name, t.version, gone)
}

// shown needs k.mu.
func (k *kindWatch) shown(key, version string, gone bool) {
	if own, ok := k.writes[key]; ok && older(version, own.version) {
		return
	}
	delete(k.writes, key)
	if gone {
		delete(k.hashes, key)
	}
}

// wrote remembers an own write, of an object with that hash.
func (k *kindWatch) wrote(o metav1.Object, hash string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	informer := k.of(o.GetNamespace())
	if informer == nil {
		return
	}
	key := o.GetNamespace() + "/" + o.GetName()
	k.writes[key], k.hashes[key] = written{o.GetResourceVersion(), time.Now()}, hash
	if t := stored(informer, key); t != nil {
		k.shown(key, t.version, false)
	}
}

// sent is the hash of what davit wrote last of an object, empty if it wrote nothing since it watches.
func (k *kindWatch) sent(namespace, name string) string {
	if k == nil {
		return ""
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.hashes[namespace+"/"+name]
}

// late is how long the informer's queue may take after the stream: with the stream past an own write that long
// and still no object, there was one, and its deletion too.
const late = time.Second

// look finds an object. It is nil when there is none, and not known when the kind is not watched (yet) or the
// watch did not show davit's own last write yet.
func (k *kindWatch) look(namespace, name string) (t *tracked, known bool) {
	if k == nil {
		return nil, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	informer := k.of(namespace)
	if informer == nil || !informer.HasSynced() {
		return nil, false
	}
	key := namespace + "/" + name
	t = stored(informer, key)
	own, pending := k.writes[key]
	if pending && time.Since(own.at) > late && !older(informer.LastSyncResourceVersion(), own.version) {
		k.shown(key, informer.LastSyncResourceVersion(), t == nil)
		return t, true
	}
	return t, !pending
}

// of is the informer of a namespace. It needs k.mu.
func (k *kindWatch) of(namespace string) cache.SharedIndexInformer {
	if informer := k.informers[namespace]; informer != nil {
		return informer
	}
	return k.informers[""]
}

func stored(informer cache.SharedIndexInformer, key string) *tracked {
	o, _, _ := informer.GetStore().GetByKey(key)
	t, _ := o.(*tracked)
	return t
}

// older compares two resourceVersions of one kind. What can't be compared counts as older.
func older(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err != nil || order < 0
}
