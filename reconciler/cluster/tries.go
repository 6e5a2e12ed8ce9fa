package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// What a namespace of a try bears. The label alone has nobody delete it: the end must be there and past, and no
// ModelRelease in it.
const (
	LabelTry        = "davit.dev/try"
	annotationUntil = "davit.dev/try-until"
	annotationBy    = "davit.dev/try-by"
	annotationOf    = "davit.dev/try-release"
	annotationAt    = "davit.dev/try-commit"
)

// Try is a release that a person runs in a namespace of its own, for a time. It is no release: nothing follows it.
type Try struct {
	Namespace string `json:"namespace"`
	// Release is the one that was rendered, Commit what it was rendered from.
	Release string    `json:"release"`
	Commit  string    `json:"commit"`
	By      string    `json:"by"`
	Until   time.Time `json:"until"`
}

// Tries lists those of the cluster that have an end, by namespace.
func (c *Cluster) Tries(ctx context.Context) (tries []Try, err error) {
	list, err := c.tries(ctx)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if t, ok := tryOf(&list[i]); ok && list[i].DeletionTimestamp == nil {
			tries = append(tries, t)
		}
	}
	slices.SortFunc(tries, func(a, b Try) int { return strings.Compare(a.Namespace, b.Namespace) })
	return tries, nil
}

func (c *Cluster) tries(ctx context.Context) ([]corev1.Namespace, error) {
	list, err := c.typed.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: LabelTry + "=true"})
	if err != nil {
		return nil, fmt.Errorf("listing tries: %w", err)
	}
	return list.Items, nil
}

// tryOf reads a namespace's annotations; false for what has no end that can be read.
func tryOf(ns *corev1.Namespace) (Try, bool) {
	a := ns.Annotations
	until, err := time.Parse(time.RFC3339, a[annotationUntil])
	return Try{ns.Name, a[annotationOf], a[annotationAt], a[annotationBy], until}, err == nil && ns.Labels[LabelTry] == "true"
}

// ErrTryEnding says that the namespace is that of a try that is being deleted, which takes a moment.
var ErrTryEnding = errors.New("is being deleted; try again in a moment, or name another one with --namespace")

// OpenTry makes the namespace, or renews the try of the same person that is there. Any other namespace is an error.
func (c *Cluster) OpenTry(ctx context.Context, t Try) error {
	namespaces := c.typed.CoreV1().Namespaces()
	annotations := map[string]string{
		annotationUntil: t.Until.UTC().Format(time.RFC3339), annotationBy: t.By, annotationOf: t.Release, annotationAt: t.Commit,
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: t.Namespace, Labels: map[string]string{LabelTry: "true"}, Annotations: annotations}}
	_, err := namespaces.Create(ctx, ns, metav1.CreateOptions{FieldManager: Manager})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	live, err := namespaces.Get(ctx, t.Namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) { // since then
		return fmt.Errorf("namespace %s %w", t.Namespace, ErrTryEnding)
	}
	if err != nil {
		return err
	}
	there, isTry := tryOf(live)
	switch {
	case !isTry:
		return fmt.Errorf("namespace %s exists and is no try; name another one with --namespace", t.Namespace)
	case there.By != t.By:
		return fmt.Errorf("namespace %s is a try of %s; name another one with --namespace", t.Namespace, there.By)
	case live.DeletionTimestamp != nil:
		return fmt.Errorf("namespace %s %w", t.Namespace, ErrTryEnding)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": live.ResourceVersion, "annotations": annotations}})
	if err != nil {
		return err
	}
	_, err = namespaces.Patch(ctx, t.Namespace, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: Manager})
	return err
}

// DeleteTry deletes the namespace of a person's try, and no other.
func (c *Cluster) DeleteTry(ctx context.Context, name, by string) error {
	live, err := c.typed.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	t, isTry := tryOf(live)
	switch {
	case !isTry:
		return fmt.Errorf("namespace %s is no try", name)
	case t.By != by:
		return fmt.Errorf("namespace %s is a try of %s; it ends %s", name, t.By, t.Until.Local().Format(time.DateTime))
	}
	return c.deleteTry(ctx, live)
}

// deleteTry deletes a namespace that is as it was read: who renews it at the same moment keeps it.
func (c *Cluster) deleteTry(ctx context.Context, live *corev1.Namespace) error {
	held := &v1alpha1.ModelReleaseList{}
	err := c.releases.Get().Namespace(live.Name).Resource(v1alpha1.Resource).Param("limit", "1").Do(ctx).Into(held)
	switch {
	case err != nil && !apierrors.IsNotFound(err): // without the CRD there is none
		return fmt.Errorf("looking for releases in %s: %w", live.Name, err)
	case len(held.Items) > 0:
		return fmt.Errorf("namespace %s has the release %s; it is not deleted as a try", live.Name, held.Items[0].Name)
	}
	opts := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &live.UID, ResourceVersion: &live.ResourceVersion}}
	if err := c.typed.CoreV1().Namespaces().Delete(ctx, live.Name, opts); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting the try %s: %w", live.Name, err)
	}
	return nil
}

// EndTries deletes the tries whose time is over, by davit's own identity, and says which, and when the next one's is; zero
// when there is none. What can't be deleted is in the error, and holds up no other.
func (c *Cluster) EndTries(ctx context.Context, now time.Time) (ended []string, next time.Time, err error) {
	list, err := c.tries(ctx)
	if err != nil {
		return nil, next, err
	}
	var errs []error
	for i := range list {
		t, ok := tryOf(&list[i])
		switch {
		case !ok || list[i].DeletionTimestamp != nil:
		case now.Before(t.Until):
			next = earliest(next, t.Until)
		default:
			if err := c.deleteTry(ctx, &list[i]); err != nil {
				errs = append(errs, err)
				continue
			}
			ended = append(ended, t.Namespace)
		}
	}
	return ended, next, joined(errs)
}

// joined is the first of some errors, and how many more there are.
func joined(errs []error) error {
	if len(errs) < 2 {
		return append(errs, nil)[0]
	}
	return fmt.Errorf("%w, and %d more", errs[0], len(errs)-1)
}

// HasSecret says whether a namespace has a Secret, whatever is in it.
func (c *Cluster) HasSecret(ctx context.Context, namespace, name string) (bool, error) {
	_, err := c.metadata.Resource(secretResource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

var secretResource = corev1.SchemeGroupVersion.WithResource("secrets")
