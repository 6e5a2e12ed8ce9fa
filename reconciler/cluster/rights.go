package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// Right is one thing to be allowed.
type Right struct {
	Verb, Group, Resource, Subresource, Namespace string
	// Name of the one object it is about; all when empty.
	Name string
}

// String is "list pods".
func (r Right) String() string {
	text := r.Verb + " " + r.Resource
	if r.Group != "" {
		text += "." + r.Group
	}
	if r.Subresource != "" {
		text += "/" + r.Subresource
	}
	if r.Name != "" {
		text += " " + r.Name
	}
	return text
}

// MissingRightsError says what the API server does not allow davit.
type MissingRightsError struct {
	// User is whom, as the API server knows them.
	User string
	// Rights are in the order that they were asked for.
	Rights []Right // of one namespace, or all of the whole cluster
	// Remedy says what to do.
	Remedy string
}

func (e *MissingRightsError) Error() string {
	var all []string
	for _, r := range e.Rights {
		all = append(all, r.String())
	}
	where := "in namespace " + e.Rights[0].Namespace
	if e.Rights[0].Namespace == "" {
		where = "in the whole cluster"
	}
	text := fmt.Sprintf("%s may not, %s: %s", e.User, where, strings.Join(all, ", "))
	if e.Remedy != "" {
		text += "; " + e.Remedy
	}
	return text
}

// Rights of davit itself, without which nothing goes on.
var (
	ownRights = []Right{
		{Verb: "get", Group: "coordination.k8s.io", Resource: "leases"},
		{Verb: "create", Group: "coordination.k8s.io", Resource: "leases"},
		{Verb: "update", Group: "coordination.k8s.io", Resource: "leases"},
		{Verb: "list", Group: "davit.dev", Resource: "modelregistries"},
		{Verb: "watch", Group: "davit.dev", Resource: "modelregistries"},
		{Verb: "update", Group: "davit.dev", Resource: "modelregistries", Subresource: "status"},
		{Verb: "get", Resource: "secrets"},
	}
	environmentRights = []Right{
		{Verb: "get", Resource: "namespaces"},
		{Verb: "list", Group: "davit.dev", Resource: "modelreleases"},
		{Verb: "watch", Group: "davit.dev", Resource: "modelreleases"},
		{Verb: "create", Group: "davit.dev", Resource: "modelreleases"},
		{Verb: "update", Group: "davit.dev", Resource: "modelreleases"},
		{Verb: "delete", Group: "davit.dev", Resource: "modelreleases"},
		{Verb: "update", Group: "davit.dev", Resource: "modelreleases", Subresource: "status"},
		{Verb: "list", Resource: "pods"},
		{Verb: "watch", Resource: "pods"},
	}
)

// helpful are rights of davit itself that it does without, worse: what it then can't do is said of each in deploy/base.
var helpful = []Right{
	{Verb: "list", Resource: "secrets"},
	{Verb: "watch", Resource: "secrets"},
	{Verb: "create", Group: "events.k8s.io", Resource: "events"},
	{Verb: "get", Resource: "namespaces"},
}

// counting are rights by which davit knows what GPUs a cluster has. None of these kinds is in a namespace.
var counting = []Right{
	{Verb: "list", Resource: "nodes"},
	{Verb: "list", Group: "resource.k8s.io", Resource: "resourceslices"},
	{Verb: "list", Group: "resource.k8s.io", Resource: "deviceclasses"},
}

// Remedies for what is missing.
const (
	installAnew   = "install davit anew: davit install, or kubectl apply -k of the overlay"
	bindThem      = "bind them there: davit install --environment NAME=%s, or kubectl apply -k of deploy/environment"
	grantWhoActs  = "grant it: davit install --environment NAME=%s, or kubectl apply -k of deploy/environment/multi-tenant"
	accountPrefix = "system:serviceaccount:"
)

// rightsDelay is how long the API server's authorizer may take to see a role that was bound just now.
const rightsDelay = 5 * time.Second

// CheckOwn asks whether davit may do in its own namespace what it can't go on without: a *MissingRightsError otherwise,
// after some seconds in which a new installation's roles may come into force.
func (c *Cluster) CheckOwn(ctx context.Context, namespace string) error {
	for began := time.Now(); ; {
		err := c.check(ctx, "", ownRights, namespace, installAnew)
		if !errors.As(err, new(*MissingRightsError)) || time.Since(began) > rightsDelay {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// CheckEnvironment asks the same for each of the Config's namespaces, where environments are. What writing takes is not
// asked: it depends on what releases hold, and the API server names it then.
func (c *Cluster) CheckEnvironment(ctx context.Context) error {
	for _, namespace := range c.namespaces {
		if err := c.check(ctx, "", environmentRights, namespace, fmt.Sprintf(bindThem, namespace)); err != nil {
			return err
		}
	}
	return c.impersonates(ctx)
}

// CheckAccount asks, for the service account account of a davit in namespace, at once, what CheckOwn asks for oneself, and
// what davit does worse without. It takes the right to create SubjectAccessReviews, as the others of this name do.
func (c *Cluster) CheckAccount(ctx context.Context, namespace, account string) error {
	return c.check(ctx, ServiceAccount(namespace, account).UserName, slices.Concat(ownRights, helpful), namespace, installAnew)
}

// CheckCounts asks for such an account whether it may know what GPUs the cluster has.
func (c *Cluster) CheckCounts(ctx context.Context, user rest.ImpersonationConfig) error {
	return c.check(ctx, user.UserName, counting, "", installAnew)
}

// CheckAccountIn asks for such an account what CheckEnvironment asks for oneself, about one namespace.
func (c *Cluster) CheckAccountIn(ctx context.Context, user rest.ImpersonationConfig, namespace string) error {
	return c.check(ctx, user.UserName, environmentRights, namespace, fmt.Sprintf(bindThem, namespace))
}

// CheckActs asks for such an account whether it may act as a service account.
func (c *Cluster) CheckActs(ctx context.Context, user rest.ImpersonationConfig, namespace, name string) error {
	rights := []Right{{Verb: "impersonate", Resource: "serviceaccounts", Name: name}}
	return c.check(ctx, user.UserName, rights, namespace, fmt.Sprintf(grantWhoActs, namespace))
}

// check asks about a user; about oneself when user is empty.
func (c *Cluster) check(ctx context.Context, user string, rights []Right, namespace, remedy string) error {
	var missing []Right
	for _, r := range rights {
		r.Namespace = namespace
		may, err := c.May(ctx, r.access(user))
		if err != nil {
			return err
		}
		if !may {
			missing = append(missing, r)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if user == "" {
		user = c.whoami(ctx)
	}
	return &MissingRightsError{User: user, Rights: missing, Remedy: remedy}
}

func (r Right) access(user string) Access {
	a := Access{Who: user, Namespace: r.Namespace, Verb: r.Verb, Resource: r.Resource, Name: r.Name}
	if r.Subresource != "" {
		a.Resource += "/" + r.Subresource
	}
	if r.Group != "" {
		a.Resource += "." + r.Group
	}
	return a
}

// whoami is the user's name as the API server knows it.
func (c *Cluster) whoami(ctx context.Context) string {
	review, err := c.typed.AuthenticationV1().SelfSubjectReviews().Create(ctx, newReview(), metav1.CreateOptions{})
	if err != nil {
		return "davit"
	}
	return review.Status.UserInfo.Username
}

func newReview() *authenticationv1.SelfSubjectReview { return &authenticationv1.SelfSubjectReview{} }

// impersonates says whether davit may act as the user that writes.
func (c *Cluster) impersonates(ctx context.Context) error {
	user := c.cfg.Impersonate.UserName
	if user == "" {
		return nil
	}
	_, err := c.as.typed.AuthenticationV1().SelfSubjectReviews().Create(ctx, newReview(), metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) {
		return err
	}
	namespace, name, _ := strings.Cut(strings.TrimPrefix(user, accountPrefix), ":")
	return &MissingRightsError{
		User: c.whoami(ctx), Rights: []Right{{Verb: "impersonate", Resource: "serviceaccounts", Name: name, Namespace: namespace}},
		Remedy: fmt.Sprintf(grantWhoActs, namespace),
	}
}
