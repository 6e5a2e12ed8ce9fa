package reconciler_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// dynamic is a client for davit's own kinds.
func (w *world) dynamic() dynamic.Interface {
	w.t.Helper()
	client, err := dynamic.NewForConfig(restConfig(w.t))
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

// modelReleases are those of production.
func (w *world) modelReleases() dynamic.ResourceInterface {
	return w.dynamic().Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource)).Namespace(w.namespace("production"))
}

func (w *world) deleteRelease() types.UID {
	w.t.Helper()
	uid := w.release("production").UID
	if err := w.modelReleases().Delete(w.t.Context(), "production.iris", deleteNow); err != nil {
		w.t.Fatal(err)
	}
	return uid
}

// again waits for the ModelRelease that takes the place of a deleted one to be healthy.
func (w *world) again(before types.UID) *v1alpha1.ModelRelease {
	w.t.Helper()
	var mr *v1alpha1.ModelRelease
	w.eventually("healthy again", func() bool {
		var err error
		mr, err = w.cluster.Release(w.t.Context(), w.namespace("production"), "production", "iris")
		return err == nil && mr != nil && mr.UID != before && mr.Status.Phase == v1alpha1.Healthy
	})
	return mr
}

// TestDeletedRelease: a ModelRelease that a person deletes comes back; its objects are taken up without a rollout, or, by
// the policy Delete, made anew.
func TestDeletedRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	before := w.deployment("iris")
	mr := w.again(w.deleteRelease())
	if now := w.deployment("iris"); now.UID != before.UID || now.Generation != before.Generation {
		t.Errorf("Deployment %s at generation %d, was %s at %d", now.UID, now.Generation, before.UID, before.Generation)
	}
	if len(mr.Status.Inventory) < 2 || mr.Status.Model != "iris" {
		t.Errorf("taken up with %+v", mr.Status)
	}

	policy := []byte(`{"spec":{"deletionPolicy":"Delete"}}`)
	if _, err := w.modelReleases().Patch(t.Context(), "production.iris", types.MergePatchType, policy, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("answered", func() bool {
		live := w.release("production")
		return live.Status.ObservedGeneration == live.Generation
	})
	mr = w.again(w.deleteRelease())
	if now := w.deployment("iris"); now.UID == before.UID {
		t.Error("the Deployment is the one of before")
	}
	if mr.Spec.DeletionPolicy != "" {
		t.Errorf("the new one has the policy %q", mr.Spec.DeletionPolicy)
	}

	// What was rendered before goes although the ModelRelease that knew it is gone.
	w.edit("runtimes/iris-server/0.1.0/kustomization.yaml", "  - service.yaml", "  - service.yaml\n  - config.yaml")
	w.write("runtimes/iris-server/0.1.0/config.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\n")
	w.commit("a ConfigMap")
	configs := func() int {
		list, err := w.kubectl().CoreV1().ConfigMaps(w.namespace("production")).List(t.Context(), metav1.ListOptions{LabelSelector: cluster.LabelRelease + "=iris"})
		if err != nil {
			t.Fatal(err)
		}
		return len(list.Items)
	}
	w.eventually("applied", func() bool { return configs() == 1 })
	head := w.git("rev-parse", "HEAD")
	w.eventually("healthy with it", func() bool { return w.status("production").Healthy.Commit == head })
	if err := w.modelReleases().Delete(t.Context(), "production.iris", deleteNow); err != nil {
		t.Fatal(err)
	}
	w.git("revert", "--no-edit", "HEAD")
	w.eventually("pruned", func() bool { return configs() == 0 })
}

// TestDeletedNamespace: a namespace that is deleted with davit running, or without, hangs on nothing of davit's, and comes
// back as long as a commit asks for what is in it.
func TestDeletedNamespace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	namespaces := w.kubectl().CoreV1().Namespaces()
	remove := func() *corev1.Namespace {
		t.Helper()
		ns, err := namespaces.Get(t.Context(), w.namespace("production"), get)
		if err != nil {
			t.Fatal(err)
		}
		if err := namespaces.Delete(t.Context(), ns.Name, deleteNow); err != nil {
			t.Fatal(err)
		}
		return ns
	}
	gone := func(ns *corev1.Namespace) func() bool {
		return func() bool {
			live, err := namespaces.Get(t.Context(), ns.Name, get)
			return apierrors.IsNotFound(err) || err == nil && live.UID != ns.UID
		}
	}
	uid := w.release("production").UID
	w.eventually("gone under a running davit", gone(remove()))
	w.again(uid)
	stop()
	w.eventually("gone without davit", gone(remove()))
}

// TestKindMadeAnew: kubectl replace --force deletes the CRD, and every ModelRelease with it. Nobody asked for what serves to
// go, whatever their policy is: it is taken up as it is. It runs alone: the other tests' ModelReleases would go too.
func TestKindMadeAnew(t *testing.T) {
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	policy := []byte(`{"spec":{"deletionPolicy":"Delete"}}`)
	if _, err := w.modelReleases().Patch(t.Context(), "production.iris", types.MergePatchType, policy, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("answered", func() bool {
		live := w.release("production")
		return live.Status.ObservedGeneration == live.Generation
	})
	before, mr := w.deployment("iris"), w.release("production")
	kinds := w.dynamic().Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	name := v1alpha1.Resource + "." + v1alpha1.GroupVersion.Group
	crd, err := kinds.Get(t.Context(), name, get)
	if err != nil {
		t.Fatal(err)
	}
	if err := kinds.Delete(t.Context(), name, deleteNow); err != nil {
		t.Fatal(err)
	}
	w.eventually("gone", func() bool {
		_, err := kinds.Get(t.Context(), name, get)
		return apierrors.IsNotFound(err)
	})
	// Times of creation have whole seconds.
	w.eventually("a second after the ModelRelease", func() bool { return time.Since(mr.CreationTimestamp.Time) > time.Second })
	if _, err := w.cluster.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again, err := kinds.Get(t.Context(), name, get); err != nil || again.GetUID() == crd.GetUID() {
		t.Fatalf("the CRD is the one of before: %v", err)
	}
	w.again(mr.UID)
	if now := w.deployment("iris"); now.UID != before.UID || now.Generation != before.Generation {
		t.Errorf("Deployment %s at generation %d, was %s at %d", now.UID, now.Generation, before.UID, before.Generation)
	}
}
