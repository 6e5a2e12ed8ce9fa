package reconciler

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// secretNews passes on which Secrets of davit's namespace changed. A nil one passes on nothing.
type secretNews struct {
	count atomic.Int64 // of the changes

	mu   sync.Mutex
	uses map[*secretUse]bool
}

type secretUse struct {
	names   []string
	changed func()
}

// on has changed called after each change of a Secret among names, until stop is called. It must return at once.
func (n *secretNews) on(names []string, changed func()) (stop func()) {
	if n == nil || len(names) == 0 {
		return func() {}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	use := &secretUse{names, changed}
	n.uses[use] = true
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.uses, use)
	}
}

// changes counts those so far. What was read before the last one may be out of date.
func (n *secretNews) changes() int64 {
	if n == nil {
		return 0
	}
	return n.count.Load()
}

func (n *secretNews) tell(name string) {
	n.count.Add(1) // before anybody who hears of it reads the Secret
	n.mu.Lock()
	defer n.mu.Unlock()
	for use := range n.uses {
		if slices.Contains(use.names, name) {
			use.changed()
		}
	}
}

// secretsOf names the Secrets that a ModelRegistry speaks of: those that are read anew whenever they are used, and those
// that are read when following begins.
func secretsOf(spec *v1alpha1.ModelRegistrySpec) (anew, once []string) {
	anew = []string{spec.Credentials, spec.Proxy}
	if spec.Images != nil {
		anew = append(anew, spec.Images.Secret)
	}
	for _, n := range spec.Notifications {
		anew = append(anew, n.Secret)
	}
	if spec.Forge != nil {
		anew = append(anew, spec.Forge.Secret)
	}
	if spec.Committer != nil && spec.Committer.SigningKey != nil {
		once = append(once, spec.Committer.SigningKey.Secret)
	}
	for _, g := range spec.Environments {
		if g.Cluster != nil {
			once = append(once, g.Cluster.Secret)
		}
		for _, s := range g.Sources {
			anew = append(anew, s.Secret)
		}
		anew = append(append(anew, g.Decryption), g.PullSecrets...)
		if g.Prometheus != nil {
			anew = append(anew, g.Prometheus.Secret)
		}
	}
	named := func(names []string) []string {
		slices.Sort(names)
		return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
	}
	return named(anew), named(once)
}

// untilSecrets is a context that ends when the content of a Secret changes that is read once only.
func (cfg ControllerConfig) untilSecrets(ctx context.Context, mr *v1alpha1.ModelRegistry) (running context.Context, stop func()) {
	running, cancel := context.WithCancel(ctx)
	_, once := secretsOf(&mr.Spec)
	if len(once) == 0 {
		return running, cancel
	}
	news := make(chan struct{}, 1)
	unsubscribe := cfg.secrets.on(once, func() { wake(news) })
	before, err := cfg.secretsHash(ctx, mr.Namespace, once)
	if err != nil {
		unsubscribe()
		return running, cancel // what follows reads them, too, and fails
	}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		for {
			select {
			case <-running.Done():
				return
			case <-news:
			}
			// Neither a label nor an API server that does not answer is a reason to begin anew.
			if now, err := cfg.secretsHash(ctx, mr.Namespace, once); err == nil && now != before {
				cancel()
			}
		}
	})
	return running, func() {
		unsubscribe()
		cancel()
		waiting.Wait()
	}
}

// tryAgain queues the releases that wait: a Secret changed, for which they may. It does not wait for one that is being
// worked on, and queues it too.
func (r *Reconciler) tryAgain() {
	for _, s := range r.all() {
		waits := true
		if s.work.TryLock() {
			waits = s.release != nil && s.release.Status.Phase == v1alpha1.Waiting
			s.work.Unlock()
		}
		if waits && r.site(s.key.Environment) != nil {
			r.enqueue(s.key)
		}
	}
}

// secretsHash tells one content of Secrets from another; one that is not there counts as empty.
func (cfg ControllerConfig) secretsHash(ctx context.Context, namespace string, names []string) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	for _, name := range names {
		data, err := cfg.Cluster.Secrets(ctx, namespace, name)
		if err != nil && !cluster.NoSecret(err) {
			return sum, err
		}
		for _, key := range slices.Sorted(maps.Keys(data)) {
			fmt.Fprintf(h, "%q %q %q\n", name, key, data[key])
		}
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// wake leaves word for a goroutine that may be busy.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
