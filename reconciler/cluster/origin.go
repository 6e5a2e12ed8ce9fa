package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/restmapper"
)

// Origin is an object in the cluster and what it belongs to.
type Origin struct {
	// Chain is the object and then its controllers, a pod's ReplicaSet and Deployment, the topmost last.
	Chain []*metav1.PartialObjectMetadata
	// Davit says that davit applied the topmost.
	Davit bool
	// Managers are the others who wrote the topmost, sorted.
	Managers []string
}

// Top is the object at the end of the chain.
func (o *Origin) Top() *metav1.PartialObjectMetadata { return o.Chain[len(o.Chain)-1] }

// Setters are the field managers, but davit, that own a field of the topmost object, sorted.
func (o *Origin) Setters(field []string) (names []string) {
	for _, e := range o.Top().ManagedFields {
		fields := map[string]any{}
		if e.Manager == Manager || e.FieldsV1 == nil || json.Unmarshal(e.FieldsV1.GetRawBytes(), &fields) != nil {
			continue
		}
		if within(fields, field) && !slices.Contains(names, e.Manager) {
			names = append(names, e.Manager)
		}
	}
	slices.Sort(names)
	return names
}

// within follows field through FieldsV1, where an item of a list is known by any of its keys' values.
func within(fields map[string]any, field []string) bool {
	for _, part := range field {
		next, ok := fields["f:"+part].(map[string]any)
		for key, below := range fields {
			values := map[string]any{}
			if ok || !strings.HasPrefix(key, "k:") || json.Unmarshal([]byte(key[2:]), &values) != nil {
				continue
			}
			for _, v := range values {
				if fmt.Sprint(v) == part {
					next, ok = below.(map[string]any)
				}
			}
		}
		if !ok {
			return false
		}
		fields = next
	}
	return true
}

// Origin reads an object and its controllers. The kind is as kubectl takes it: deploy, deployments, deployment.apps. It
// is nil where there is no such object, or no such kind.
func (c *Cluster) Origin(ctx context.Context, namespace, kind, name string) (*Origin, error) {
	gvk, err := c.kindOf(kind)
	if err != nil || gvk.Empty() {
		return nil, err
	}
	out := &Origin{}
	for range maxOwners {
		client, err := c.meta(namespace, gvk)
		if err != nil {
			return nil, err
		}
		o, err := client.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			break // deleted since, with what it made to follow
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s %s/%s: %w", gvk.Kind, namespace, name, err)
		}
		o.SetGroupVersionKind(gvk)
		out.Chain = append(out.Chain, o)
		owner := metav1.GetControllerOf(o)
		if owner == nil {
			break
		}
		gvk, name = schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind), owner.Name
	}
	if len(out.Chain) == 0 {
		return nil, nil
	}
	out.Davit, out.Managers = ownEntry(out.Top()) != nil, managers(out.Top())
	return out, nil
}

// maxOwners ends a circle of owners.
const maxOwners = 10

// kindOf finds a kind by one of the names kubectl takes; empty when the API server has none such.
func (c *Cluster) kindOf(word string) (schema.GroupVersionKind, error) {
	mapper := restmapper.NewShortcutExpander(c.mapper, c.typed.Discovery(), nil)
	full, resource := schema.ParseResourceArg(strings.ToLower(word))
	if full != nil {
		if gvk, err := mapper.KindFor(*full); err == nil {
			return gvk, nil
		}
	}
	gvk, err := mapper.KindFor(resource.WithVersion(""))
	if meta.IsNoMatchError(err) {
		return schema.GroupVersionKind{}, nil
	}
	if err != nil {
		return gvk, fmt.Errorf("looking up kind %s: %w", word, err)
	}
	return gvk, nil
}
