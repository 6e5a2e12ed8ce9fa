package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// Holdings is what one davit has in its cluster.
type Holdings struct {
	Registries []v1alpha1.ModelRegistry
	Releases   []*v1alpha1.ModelRelease
	// Runs are those of its environments, ended ones too.
	Runs []RunStatus
	// Namespaces are those where its rights on environments are bound.
	Namespaces []string
	// Elsewhere are environments in other clusters.
	Elsewhere []string
	// Others is how many ModelReleases and ModelRegistries are another davit's.
	Others int
}

// Holdings finds what the davit has whose ModelRegistries are in namespace. What has no CRD any more, there is none of.
func (c *Cluster) Holdings(ctx context.Context, namespace string) (*Holdings, error) {
	h, places := &Holdings{}, map[string][]string{} // environments by namespace
	registries, err := c.Registries(ctx)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	for _, mr := range registries {
		if mr.Namespace != namespace {
			h.Others++
			continue
		}
		h.Registries = append(h.Registries, mr)
		for _, g := range mr.Spec.Environments {
			if g.Cluster != nil {
				h.Elsewhere = append(h.Elsewhere, g.Name)
				continue
			}
			for _, ns := range g.Namespaces {
				places[ns] = append(places[ns], g.Name)
			}
		}
	}
	releases, err := c.Releases(ctx)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	for _, mr := range releases {
		if !strings.HasPrefix(mr.Spec.Owner, namespace+"/") {
			h.Others++
			continue
		}
		h.Releases = append(h.Releases, mr)
		places[mr.Namespace] = append(places[mr.Namespace], mr.Spec.Environment)
	}
	if err := c.holdRuns(ctx, h, places); err != nil {
		return nil, err
	}
	h.Namespaces, err = c.bound(ctx, namespace)
	return h, err
}

func (c *Cluster) holdRuns(ctx context.Context, h *Holdings, places map[string][]string) error {
	for namespace, environments := range places {
		runs, err := c.Runs(ctx, namespace)
		if err != nil {
			return fmt.Errorf("finding runs in namespace %s: %w", namespace, err)
		}
		for _, r := range runs {
			if slices.Contains(environments, r.Environment) {
				h.Runs = append(h.Runs, r)
			}
		}
	}
	return nil
}

// environmentBinding is the RoleBinding of deploy/environment by which a namespace is an environment's.
const environmentBinding = "davit-environment"

// bound are the namespaces where the davit of a namespace has rights on an environment.
func (c *Cluster) bound(ctx context.Context, namespace string) (all []string, err error) {
	opts := metav1.ListOptions{FieldSelector: "metadata.name=" + environmentBinding}
	list, err := c.typed.RbacV1().RoleBindings("").List(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("finding the namespaces of environments: %w", err)
	}
	own := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: "davit", Namespace: namespace}
	for _, b := range list.Items {
		if slices.Contains(b.Subjects, own) {
			all = append(all, b.Namespace)
		}
	}
	return all, nil
}

// DeleteHeld deletes the releases, by what each one's ModelRelease lists, the runs, and the copies of pull secrets, which
// nothing needs then. Volumes stay. With dry it only tells. It goes on after an error, and returns all of them.
func (c *Cluster) DeleteHeld(ctx context.Context, h *Holdings, dry bool, tell func(namespace string, change Change)) error {
	var errs []error
	for _, r := range h.Runs {
		if !dry {
			if err := c.DeleteRun(ctx, r.Namespace, r.Name); err != nil {
				errs = append(errs, fmt.Errorf("namespace %s: %w", r.Namespace, err))
				continue
			}
		}
		tell(r.Namespace, Change{Ref: v1alpha1.ObjectRef{Group: kindOfRun(r).Group, Kind: r.Kind, Name: r.Name}, Action: Deleted})
	}
	for _, mr := range h.Releases {
		if !dry {
			if err := c.deleteRelease(ctx, mr); err != nil {
				errs = append(errs, fmt.Errorf("namespace %s: %w", mr.Namespace, err))
				continue
			}
			tell(mr.Namespace, Change{Ref: releaseRef(mr), Action: Deleted})
		}
		for _, ref := range mr.Status.Inventory {
			if !neverPruned(ref.GroupKind()) {
				tell(mr.Namespace, Change{Ref: ref, Action: Deleted})
			}
		}
	}
	for i := range h.Registries {
		errs = append(errs, c.deleteCopies(ctx, &h.Registries[i], dry, tell))
	}
	return errors.Join(errs...)
}

// deleteCopies deletes the copies of Secrets that a registry has in environments of this cluster.
func (c *Cluster) deleteCopies(ctx context.Context, mr *v1alpha1.ModelRegistry, dry bool, tell func(string, Change)) error {
	owner, err := c.With(ctx, nil, func(cfg *Config) { cfg.Owner = mr.Namespace + "/" + mr.Name })
	if err != nil {
		return err
	}
	var errs []error
	for _, place := range mr.Status.Places {
		if place.Cluster != nil {
			continue
		}
		for _, namespace := range place.Namespaces {
			for _, name := range place.PullSecrets {
				from := mr.Namespace + "/" + name
				there, err := owner.copied(ctx, namespace, from, name)
				if there && !dry {
					err = owner.RemoveCopy(ctx, namespace, from, name)
				}
				if errs = append(errs, err); there && err == nil {
					tell(namespace, Change{Ref: v1alpha1.ObjectRef{Version: "v1", Kind: "Secret", Name: name}, Action: Deleted})
				}
			}
		}
	}
	return errors.Join(errs...)
}

// deleteRelease deletes one as its owner, whose claim it takes over: whoever was at work on it is fenced off.
func (c *Cluster) deleteRelease(ctx context.Context, mr *v1alpha1.ModelRelease) error {
	owner, err := c.With(ctx, nil, func(cfg *Config) { cfg.Owner, cfg.Holder = mr.Spec.Owner, InstallManager })
	if err != nil {
		return err
	}
	for range bringTries {
		if err = owner.Delete(ctx, mr); !errors.Is(err, ErrConflict) {
			return err
		}
		fresh, readErr := c.Release(ctx, mr.Namespace, mr.Spec.Environment, mr.Spec.Release)
		if readErr != nil || fresh == nil {
			return readErr
		}
		*mr = *fresh
	}
	return err
}

// Forget deletes the ModelReleases and ModelRegistries that are still there, and leaves what they stand for.
func (c *Cluster) Forget(ctx context.Context, h *Holdings, dry bool, tell func(namespace string, change Change)) error {
	var objects []*unstructured.Unstructured
	add := func(kind, namespace, name string) {
		o := &unstructured.Unstructured{}
		o.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
		o.SetNamespace(namespace)
		o.SetName(name)
		objects = append(objects, o)
	}
	for _, mr := range h.Releases {
		add(v1alpha1.Kind, mr.Namespace, mr.Name)
	}
	for _, mr := range h.Registries { // the last are the first to go
		add(v1alpha1.RegistryKind, mr.Namespace, mr.Name)
	}
	return c.TearDown(ctx, objects, dry, tell)
}

func releaseRef(mr *v1alpha1.ModelRelease) v1alpha1.ObjectRef {
	return v1alpha1.ObjectRef{Group: v1alpha1.GroupVersion.Group, Version: v1alpha1.GroupVersion.Version, Kind: v1alpha1.Kind, Name: mr.Name}
}
