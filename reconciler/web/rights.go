package web

import (
	"context"
	"fmt"
)

// Rights says what a user may do, by the right that Kubernetes has for it. *fleet.Fleet's Allowed is one.
type Rights func(ctx context.Context, user *User, verb, resource, registry, environment string) (bool, error)

// modelReleases are what rights in an environment are about.
const modelReleases = "modelreleases.davit.dev"

// may asks for the right that a verb needs. To propose changes nothing in the cluster, and so has a verb of its own, which a
// Role names as any other: {apiGroups: [davit.dev], resources: [modelreleases], verbs: [get, propose]}.
func (r Rights) may(ctx context.Context, user *User, verb Verb, registry, environment string) (bool, error) {
	switch verb {
	case See:
		return r(ctx, user, "get", modelReleases, registry, environment)
	case Logs:
		return r(ctx, user, "get", "pods/log", registry, environment)
	case Propose:
		return r(ctx, user, "propose", modelReleases, registry, environment)
	case Suspend:
		return r(ctx, user, "patch", modelReleases, registry, environment)
	}
	return false, fmt.Errorf("%q is nothing that can be allowed", verb)
}
