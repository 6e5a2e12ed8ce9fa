package reconciler

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/sops"
)

// keysAge is how old a Secret that was read may be: one commit may move hundreds of releases. A change that is watched counts
// at once; where davit may not watch Secrets, one that a person has just corrected counts at the next try.
const keysAge = 5 * time.Second

// recent keeps what was made of a Secret until there is news of any, for keysAge at most; errors are not kept. It may be used
// concurrently.
type recent[T any] struct {
	news *secretNews
	read func(context.Context) (T, error)

	mu   sync.Mutex
	last T
	at   time.Time
	seen int64 // changes when it was read
}

func (r *recent[T]) get(ctx context.Context) (T, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	changes := r.news.changes()
	if !r.at.IsZero() && r.seen == changes && time.Since(r.at) < keysAge {
		return r.last, nil
	}
	got, err := r.read(ctx)
	if err == nil {
		r.last, r.at, r.seen = got, time.Now(), changes
	}
	return got, err
}

// decrypts lets an environment's cluster decrypt with the keys of a Secret beside the ModelRegistry.
func (cfg ControllerConfig) decrypts(c *cluster.Config, namespace, secret string) {
	if secret == "" {
		return
	}
	keys := &recent[sops.Keys]{news: cfg.secrets, read: func(ctx context.Context) (sops.Keys, error) {
		data, err := cfg.Cluster.Secrets(ctx, namespace, secret)
		if err != nil {
			return sops.Keys{}, err
		}
		keys, err := sops.Parse(data)
		if err != nil {
			return keys, fmt.Errorf("reading Secret %s/%s: %w", namespace, secret, err)
		}
		keys.From = "Secret " + namespace + "/" + secret
		return keys, nil
	}}
	c.Decryption = keys.get
}
