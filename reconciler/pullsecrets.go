package reconciler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// withGranted is a release whose pods name the pull secrets that its environment was granted; nil for nil. They are no part
// of what the repository says, and of what is rendered: with other ones a release has other inputs.
func (r *Reconciler) withGranted(release *registry.Release) *registry.Release {
	if release == nil {
		return nil
	}
	return release.WithPullSecrets(r.cfg.Grants[release.Environment.Name].PullSecrets)
}

// pullable brings the environment's pull secrets to where its pods are about to be.
func (r *Reconciler) pullable(ctx context.Context, environment, namespace string) error {
	grant := r.cfg.Grants[environment]
	if len(grant.PullSecrets) == 0 || grant.Pullable == nil {
		return nil
	}
	return grant.Pullable(ctx, namespace)
}

// pullSecrets copies an environment's.
type pullSecrets struct {
	names  []string
	target *cluster.Cluster
	read   map[string]*recent[cluster.SecretCopy]
	news   *secretNews

	mu      sync.Mutex
	brought map[string]brought // by namespace
}

// brought is when all of them were, and how many changes of Secrets had been by then.
type brought struct {
	at      time.Time
	changes int64
}

func (cfg ControllerConfig) pullSecrets(namespace string, names []string, target *cluster.Cluster) *pullSecrets {
	p := &pullSecrets{
		names: names, target: target, read: map[string]*recent[cluster.SecretCopy]{}, news: cfg.secrets, brought: map[string]brought{},
	}
	for _, name := range names {
		p.read[name] = &recent[cluster.SecretCopy]{news: cfg.secrets, read: func(ctx context.Context) (cluster.SecretCopy, error) {
			return cfg.Cluster.PullSecret(ctx, namespace, name)
		}}
	}
	return p
}

// bring has all of them in a namespace. It may be called concurrently.
func (p *pullSecrets) bring(ctx context.Context, namespace string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	changes := p.news.changes()
	if b := p.brought[namespace]; b.changes == changes && time.Since(b.at) < keysAge { // hundreds of releases may be applied at once
		return nil
	}
	var errs []error
	for _, name := range p.names {
		secret, err := p.read[name].get(ctx)
		if err == nil {
			err = p.target.CopySecret(ctx, namespace, secret)
		}
		errs = append(errs, err)
	}
	err := errors.Join(errs...)
	if err == nil {
		p.brought[namespace] = brought{time.Now(), changes}
	}
	return err
}

// copiesEvery is how often the copies are compared with their Secrets, beside whenever one of those changes.
const copiesEvery = 30 * time.Second

// keepsCopies runs keepCopies until stop is called.
func (cfg ControllerConfig) keepsCopies(ctx context.Context, mr *v1alpha1.ModelRegistry, log *slog.Logger, grants map[string]Grant) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var copying sync.WaitGroup
	copying.Go(func() { cfg.keepCopies(ctx, mr, log, grants) })
	return func() {
		cancel()
		copying.Wait()
	}
}

// keepCopies keeps the copies in the namespaces of the grants up to date until ctx ends, and tells in the ModelRegistry's
// status of those that can't be.
func (cfg ControllerConfig) keepCopies(ctx context.Context, mr *v1alpha1.ModelRegistry, log *slog.Logger, grants map[string]Grant) {
	var names []string
	for _, g := range mr.Spec.Environments {
		names = append(names, g.PullSecrets...)
	}
	if len(names) == 0 {
		return
	}
	changed := make(chan struct{}, 1)
	defer cfg.secrets.on(names, func() { wake(changed) })()
	every := time.NewTicker(copiesEvery)
	defer every.Stop()
	last := "unknown"
	for {
		if text := cfg.copies(ctx, grants); text != last && ctx.Err() == nil {
			last = text
			c := metav1.Condition{Type: v1alpha1.ConditionPullSecrets, Status: metav1.ConditionTrue, Reason: "Copied", Message: text, ObservedGeneration: mr.Generation}
			if text != "" {
				log.Warn("pull secrets not copied; it is tried again", "error", text)
				c.Status, c.Reason = metav1.ConditionFalse, "NotCopied"
			}
			cfg.status(ctx, mr, log, func(st *v1alpha1.ModelRegistryStatus) { setCondition(&st.Conditions, c) })
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-every.C:
		}
	}
}

// copies brings all, and says what went wrong.
func (cfg ControllerConfig) copies(ctx context.Context, grants map[string]Grant) string {
	var errs []error
	for _, name := range sortedNames(grants) {
		grant := grants[name]
		if grant.Pullable == nil || !cfg.mine(name) {
			continue
		}
		for _, namespace := range grant.Namespaces {
			if err := grant.Pullable(ctx, namespace); err != nil {
				errs = append(errs, fmt.Errorf("environment %q: %w", name, err))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err.Error()
	}
	return ""
}

func sortedNames(grants map[string]Grant) (names []string) {
	for name := range grants {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// dropCopies removes the copies that no grant asks for any more, and returns by environment those that could not be
// removed: they stay on record.
func (cfg ControllerConfig) dropCopies(ctx context.Context, mr *v1alpha1.ModelRegistry, log *slog.Logger) (left map[string][]string, err error) {
	var places []v1alpha1.EnvironmentPlace
	err = cfg.Cluster.WriteRegistryStatus(ctx, mr, func(live *v1alpha1.ModelRegistry) { places = live.Status.Places })
	left = map[string][]string{}
	for _, old := range places {
		if len(old.PullSecrets) == 0 || !cfg.mine(old.Environment) {
			continue
		}
		if err := cfg.dropCopiesOf(ctx, mr, old); err != nil {
			log.Warn("copies of pull secrets not removed; it is tried again", "environment", old.Environment, "error", err)
			left[old.Environment] = append(left[old.Environment], old.PullSecrets...)
		}
	}
	return left, err
}

func (cfg ControllerConfig) dropCopiesOf(ctx context.Context, mr *v1alpha1.ModelRegistry, old v1alpha1.EnvironmentPlace) error {
	target, err := cfg.grant(ctx, mr, v1alpha1.EnvironmentGrant{
		Name: old.Environment, Cluster: old.Cluster, Namespaces: old.Namespaces, ServiceAccount: old.ServiceAccount,
	}, owner(mr))
	if err != nil {
		return err
	}
	var errs []error
	for _, namespace := range old.Namespaces {
		for _, name := range old.PullSecrets {
			wanted := slices.ContainsFunc(mr.Spec.Environments, func(g v1alpha1.EnvironmentGrant) bool {
				return slices.Contains(g.Namespaces, namespace) && slices.Contains(g.PullSecrets, name) && sameCluster(g.Cluster, old.Cluster)
			})
			if !wanted {
				errs = append(errs, target.Cluster.RemoveCopy(ctx, namespace, mr.Namespace+"/"+name, name))
			}
		}
	}
	return errors.Join(errs...)
}

// removeCopies removes all copies that the registry asked for in a place.
func removeCopies(ctx context.Context, in *cluster.Cluster, mr *v1alpha1.ModelRegistry, place v1alpha1.EnvironmentPlace) error {
	var errs []error
	for _, namespace := range place.Namespaces {
		for _, name := range place.PullSecrets {
			errs = append(errs, in.RemoveCopy(ctx, namespace, mr.Namespace+"/"+name, name))
		}
	}
	return errors.Join(errs...)
}

func sameCluster(a, b *v1alpha1.SecretKey) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}
