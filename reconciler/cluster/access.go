package cluster

import (
	"context"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Access is something that somebody may or may not do.
type Access struct {
	// Who is a user's name with their groups; this client's own user when empty. Those of a service account follow from
	// its name, and are left out.
	Who, Namespace string
	Groups         []string
	Verb           string
	// Resource is "resource[/subresource][.group]" as kubectl writes it: "deployments.apps", "pods/log".
	Resource string
	// Name limits it to one object; any when empty.
	Name string
}

// String is "patch deployments.apps in namespace production".
func (a Access) String() string {
	text := a.Verb + " " + a.Resource
	if a.Name != "" {
		text += " " + a.Name
	}
	if a.Namespace != "" {
		text += " in namespace " + a.Namespace
	}
	return text
}

// May asks the API server whether an access is allowed. To ask for somebody else needs the right to create
// SubjectAccessReviews.
func (c *Cluster) May(ctx context.Context, a Access) (bool, error) {
	resource, subresource, group := a.parts()
	what := &authorizationv1.ResourceAttributes{
		Namespace: a.Namespace, Verb: a.Verb, Group: group, Resource: resource, Subresource: subresource, Name: a.Name,
	}
	api := c.typed.AuthorizationV1()
	var status authorizationv1.SubjectAccessReviewStatus
	if a.Who == "" {
		review, err := api.SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: what},
		}, metav1.CreateOptions{})
		if err != nil {
			return false, fmt.Errorf("asking whether one may %s: %w", a, err)
		}
		status = review.Status
	} else {
		review, err := api.SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{User: a.Who, Groups: a.groups(), ResourceAttributes: what},
		}, metav1.CreateOptions{})
		if err != nil {
			return false, fmt.Errorf("asking whether %s may %s: %w", a.Who, a, err)
		}
		status = review.Status
	}
	return status.Allowed && !status.Denied, nil
}

// groups are those that the API server's authentication would add to a service account, too.
func (a Access) groups() []string {
	namespace, _, ok := strings.Cut(strings.TrimPrefix(a.Who, accountPrefix), ":")
	if !ok || !strings.HasPrefix(a.Who, accountPrefix) {
		return a.Groups
	}
	return append([]string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"}, a.Groups...)
}

func (a Access) parts() (resource, subresource, group string) {
	resource, group, _ = strings.Cut(a.Resource, ".")
	resource, subresource, _ = strings.Cut(resource, "/")
	return resource, subresource, group
}

// ResourceOf is the resource of a kind as Access names it; an error when the cluster does not have the kind.
func (c *Cluster) ResourceOf(gvk schema.GroupVersionKind) (string, error) {
	m, err := c.mapping(gvk)
	if err != nil {
		return "", err
	}
	return m.Resource.GroupResource().String(), nil
}
