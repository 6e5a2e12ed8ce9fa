package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/csaupgrade"
)

// tools are the field managers of what applies whole objects, so that a field of theirs which davit does not
// render was theirs to remove. People's own edits (kubectl-edit, kubectl-patch) and controllers are not among
// them: what they set stays.
var tools = []string{
	"kubectl-client-side-apply", "kubectl", "kubectl-create", "kubectl-replace", "kubectl-last-applied", "before-first-apply",
	"helm", "Helm", "helm-controller", "kustomize-controller", "flux", "argocd-controller", "argocd-application-controller", "argocd", "kapp",
}

// adoptOne makes davit the manager of an object in place of the tools that applied it, and takes away their
// marks, so that they do not delete it as theirs. Whether davit's object is acceptable is asked first by a dry
// run; if the tools' fields turn out not to be removable, they are given back: nothing is changed.
func (c *Cluster) adoptOne(ctx context.Context, m *member) error {
	client := c.as.dynamic.Resource(m.mapping.Resource).Namespace(m.object.GetNamespace())
	live, err := client.Get(ctx, m.ref.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading %s: %w", m.ref, err)
	}
	body, err := json.Marshal(m.object.Object)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", m.ref, err)
	}
	dry := applyOptions()
	dry.DryRun = []string{metav1.DryRunAll}
	if _, err := m.client.Patch(ctx, m.ref.Name, types.ApplyPatchType, body, dry); err != nil {
		if immutable(err) {
			return c.replace(ctx, m, err)
		}
		return refusal(m.ref, err)
	}
	ours, err := migrated(live, tools)
	if err != nil {
		return fmt.Errorf("taking over the fields of %s: %w", m.ref, err)
	}
	m.from = managers(live)
	dryUpdate := metav1.UpdateOptions{FieldManager: Manager, DryRun: dry.DryRun}
	if _, err := client.Update(ctx, ours, dryUpdate); err != nil {
		return refusal(m.ref, err)
	}
	written, err := client.Update(ctx, ours, metav1.UpdateOptions{FieldManager: Manager})
	if err != nil {
		return refusal(m.ref, err)
	}
	if _, err := m.client.Patch(ctx, m.ref.Name, types.ApplyPatchType, body, dry); err != nil {
		back := c.giveBack(ctx, client, live, written)
		if immutable(err) {
			return errors.Join(c.replace(ctx, m, err), back)
		}
		return errors.Join(refusal(m.ref, err), back)
	}
	if unmark(written) {
		if _, err := client.Update(ctx, written, metav1.UpdateOptions{FieldManager: Manager}); err != nil {
			return refusal(m.ref, err)
		}
	}
	return nil
}

// giveBack undoes an adoption, if nobody wrote the object meanwhile. Nothing but the managers was changed: a label
// put back would be davit's.
func (c *Cluster) giveBack(ctx context.Context, client dynamic.ResourceInterface, live, written *unstructured.Unstructured) error {
	live = live.DeepCopy()
	live.SetResourceVersion(written.GetResourceVersion())
	_, err := client.Update(ctx, live, metav1.UpdateOptions{FieldManager: Manager})
	if err != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("giving %s back to its manager: %w", live.GetName(), err)
	}
	return nil
}

// migrated is live with those managers' fields under davit's name.
func migrated(live *unstructured.Unstructured, from []string) (*unstructured.Unstructured, error) {
	o := live.DeepCopy()
	theirs := sets.New(from...)
	entries := o.GetManagedFields()
	for i, e := range entries {
		// csaupgrade knows client-side appliers; for one that applies server-side the fields are as much its own.
		if theirs.Has(e.Manager) && e.Subresource == "" {
			entries[i].Operation = metav1.ManagedFieldsOperationUpdate
		}
	}
	o.SetManagedFields(entries)
	if err := csaupgrade.UpgradeManagedFields(o, theirs, Manager); err != nil {
		return nil, err
	}
	return o, nil
}

// unmark takes the tools' labels and annotations off o and says whether there were any.
func unmark(o *unstructured.Unstructured) bool {
	labels, annotations := o.GetLabels(), o.GetAnnotations()
	before := len(labels) + len(annotations)
	labels = without(labels, func(key, value string) bool {
		return marked(key) || key == "app.kubernetes.io/managed-by" && value == "Helm"
	})
	annotations = without(annotations, func(key, _ string) bool { return marked(key) })
	o.SetLabels(labels)
	o.SetAnnotations(annotations)
	return len(labels)+len(annotations) < before
}

// marked says that a label or annotation tells a tool that the object is its own.
func marked(key string) bool {
	if key == "kubectl.kubernetes.io/last-applied-configuration" {
		return true
	}
	for _, prefix := range []string{
		"argocd.argoproj.io/", "kustomize.toolkit.fluxcd.io/", "helm.toolkit.fluxcd.io/", "helm.sh/", "meta.helm.sh/", "kapp.k14s.io/",
	} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

func without(m map[string]string, drop func(key, value string) bool) map[string]string {
	for key, value := range m {
		if drop(key, value) {
			delete(m, key)
		}
	}
	return m
}

// absorb takes over what others set in an object of davit's that they made unacceptable together with what
// davit applies, such as a value beside a valueFrom: under davit's name it goes with the next apply.
func (c *Cluster) absorb(ctx context.Context, m *member) error {
	client := c.as.dynamic.Resource(m.mapping.Resource).Namespace(m.object.GetNamespace())
	var err error
	for range pruneTries { // its controller may write it meanwhile
		var live, ours *unstructured.Unstructured
		if live, err = client.Get(ctx, m.ref.Name, metav1.GetOptions{}); err != nil {
			return fmt.Errorf("reading %s: %w", m.ref, err)
		}
		m.from = managers(live)
		if ours, err = migrated(live, m.from); err != nil {
			return fmt.Errorf("taking over the fields of %s: %w", m.ref, err)
		}
		if _, err = client.Update(ctx, ours, metav1.UpdateOptions{FieldManager: Manager}); !apierrors.IsConflict(err) {
			break
		}
	}
	if err != nil {
		return refusal(m.ref, err)
	}
	return nil
}
