package fleet

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/davit-dev/davit/reconciler/cluster"
)

// Subject is a user as Kubernetes knows them.
type Subject struct {
	Name   string
	Groups []string
}

// Allowed says whether somebody may use a verb on a resource ("modelreleases.davit.dev", "pods/log") where an environment
// is: the environment's own API server is asked (SubjectAccessReview), and what it said holds for half a minute. Of a
// registry or an environment that is not followed nothing is allowed.
func (f *Fleet) Allowed(ctx context.Context, who Subject, verb, resource, registry, environment string) (bool, error) {
	r := f.of(registry)
	if r == nil {
		return false, nil
	}
	_, models := r.Registry()
	c := r.Cluster(environment)
	if models == nil || models.Environments[environment] == nil || c == nil {
		return false, nil
	}
	namespace := models.Environments[environment].Spec.Namespace
	if !r.Granted(environment, namespace) {
		return false, nil
	}
	return f.rights.ask(ctx, c, cluster.Access{Who: who.Name, Groups: who.Groups, Verb: verb, Resource: resource, Namespace: namespace})
}

// Seen are the names of the registries that are followed and have an environment that a viewer may see, in order. What is a
// registry's as a whole, such as its models, is for these viewers.
func (f *Fleet) Seen(v Viewer) (names []string) {
	for _, name := range f.Registries() {
		if f.Sees(v, name) {
			names = append(names, name)
		}
	}
	return names
}

// Sees says whether one is among them.
func (f *Fleet) Sees(v Viewer, name string) bool {
	r := f.of(name)
	if r == nil || v.May == nil {
		return r != nil
	}
	_, models := r.Registry()
	return models != nil && slices.ContainsFunc(environmentsOf(models), func(environment string) bool { return v.may(name, environment) })
}

// How long an answer holds, and how many are kept.
const (
	rightHolds = 30 * time.Second
	mostRights = 10_000
)

// rights remembers what API servers said.
type rights struct {
	now  func() time.Time
	mu   sync.Mutex
	said map[rightAsked]rightSaid
}

type rightAsked struct {
	cluster *cluster.Cluster
	access  string
}

type rightSaid struct {
	allowed bool
	until   time.Time
}

func (r *rights) ask(ctx context.Context, c *cluster.Cluster, a cluster.Access) (bool, error) {
	key := rightAsked{c, a.String() + "\x00" + a.Who}
	for _, g := range a.Groups {
		key.access += "\x00" + g
	}
	now := r.now()
	r.mu.Lock()
	said, known := r.said[key]
	r.mu.Unlock()
	if known && now.Before(said.until) {
		return said.allowed, nil
	}
	allowed, err := c.May(ctx, a)
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.said == nil || len(r.said) >= mostRights {
		r.said = map[rightAsked]rightSaid{}
	}
	r.said[key] = rightSaid{allowed, now.Add(rightHolds)}
	return allowed, nil
}
