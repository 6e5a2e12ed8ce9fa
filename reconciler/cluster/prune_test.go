package cluster_test

import (
	"errors"
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

func configMap(name string) string { return strings.Replace(config, "name: iris", "name: "+name, 1) }

const claimOfVolume = `apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: cache}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}`

func TestPrune(t *testing.T) {
	c, ns := open(t)
	maps := client.CoreV1().ConfigMaps(ns)
	first := strings.Join([]string{config, configMap("gone"), configMap("replaced"), configMap("given-away"), configMap("controlled"), configMap("deleted"), claimOfVolume}, "\n---\n")
	deploy(t, c, ns, "c1", first)
	mr, set := deploy(t, c, ns, "c2", config)
	want(t, "an apply deletes nothing", actions(set), "unchanged ConfigMap/iris")
	if kinds := mr.Annotations["applyset.kubernetes.io/contains-group-kinds"]; kinds != "ConfigMap,PersistentVolumeClaim" {
		t.Errorf("kinds narrowed before the prune: %s", kinds)
	}

	replaced, err := maps.Get(t.Context(), "replaced", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"replaced", "deleted"} {
		if err := maps.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	replaced.ResourceVersion, replaced.UID = "", ""
	if _, err := maps.Create(t.Context(), replaced, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	owner, err := maps.Get(t.Context(), "iris", metav1.GetOptions{}) // a real one, or the garbage collector comes first
	if err != nil {
		t.Fatal(err)
	}
	for name, patch := range map[string]string{
		"given-away": `{"metadata":{"labels":{"applyset.kubernetes.io/part-of":"another"}}}`,
		"controlled": `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"iris","uid":"` + string(owner.UID) + `","controller":true}]}}`,
	} {
		if _, err := maps.Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}

	set, err = c.Prune(t.Context(), mr, mr.Status.Inventory)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "pruned", actions(set), "skipped ConfigMap/controlled, deleted ConfigMap/deleted, skipped ConfigMap/given-away, "+
		"deleted ConfigMap/gone, skipped ConfigMap/replaced, skipped PersistentVolumeClaim/cache")
	for name, exists := range map[string]bool{"iris": true, "gone": false, "controlled": true, "replaced": true, "given-away": true} {
		if _, err := maps.Get(t.Context(), name, metav1.GetOptions{}); apierrors.IsNotFound(err) == exists {
			t.Errorf("%s exists: %v", name, !exists)
		}
	}
	mr.Status.Inventory = set.Inventory
	if mr, err = c.WriteStatus(t.Context(), mr); err != nil {
		t.Fatal(err)
	}
	want(t, "kinds are narrowed", mr.Annotations["applyset.kubernetes.io/contains-group-kinds"], "ConfigMap")
}

// TestKindsStayWhileAnApplyMayBeUnderWay: an apply that stopped half way left objects that no inventory lists.
func TestKindsStayWhileAnApplyMayBeUnderWay(t *testing.T) {
	c, ns := open(t)
	mr, _ := deploy(t, c, ns, "c1", config)
	kinds := func() string { return mr.Annotations["applyset.kubernetes.io/contains-group-kinds"] }
	write := func(change func(*v1alpha1.ModelRelease)) {
		t.Helper()
		change(mr)
		var err error
		if mr, err = c.WriteStatus(t.Context(), mr); err != nil {
			t.Fatal(err)
		}
	}
	mr = claim(t, c, ns, "c2", objects(t, all))
	write(func(mr *v1alpha1.ModelRelease) { mr.Status.Phase = v1alpha1.Waiting })
	want(t, "claimed, and not applied", kinds(), "ConfigMap,Deployment.apps,Service")
	write(func(mr *v1alpha1.ModelRelease) {
		mr.Status.Token, mr.Status.Phase = mr.Spec.Claim.Token, v1alpha1.Progressing
	})
	want(t, "applied in part", kinds(), "ConfigMap,Deployment.apps,Service")
	write(func(mr *v1alpha1.ModelRelease) { mr.Status.Phase = v1alpha1.Healthy })
	want(t, "settled", kinds(), "ConfigMap")
}

func TestAnInterruptedApplyLeavesNoOrphans(t *testing.T) {
	c, ns := open(t)
	interrupted := objects(t, all+"\n---\n"+configMap("orphan"))
	mr := claim(t, c, ns, "c1", interrupted)
	if _, err := c.Apply(t.Context(), mr, interrupted, cluster.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	// No status was written. Another controller of the same owner goes on.
	mr, _ = deploy(t, reopen(t, ns), ns, "c2", all)
	set, err := c.Prune(t.Context(), mr, mr.Status.Inventory)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "pruned", actions(set), "deleted ConfigMap/orphan")
}

func TestDelete(t *testing.T) {
	c, ns := open(t)
	mr, _ := deploy(t, c, ns, "c1", all)
	if err := c.Delete(t.Context(), mr); err != nil {
		t.Fatal(err)
	}
	if mr, err := c.Release(t.Context(), ns, "production", "iris"); mr != nil || err != nil {
		t.Errorf("release is still there: %v, %v", mr, err)
	}
	if _, err := client.AppsV1().Deployments(ns).Get(t.Context(), "iris", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("deployment is still there: %v", err)
	}
	if err := c.Delete(t.Context(), mr); err != nil {
		t.Errorf("deleting again: %v", err)
	}
}

// TestADeletionIsOfWhatWasSeen has somebody change an object, or the ModelRelease, between davit's look and its
// DELETE.
func TestADeletionIsOfWhatWasSeen(t *testing.T) {
	c, ns := open(t)
	deploy(t, c, ns, "c1", config+"\n---\n"+configMap("given-away")+"\n---\n"+configMap("replaced"))
	mr, _ := deploy(t, c, ns, "c2", config)
	maps := client.CoreV1().ConfigMaps(ns)
	meanwhile := map[string]func() error{
		"given-away": func() error {
			_, err := maps.Patch(t.Context(), "given-away", types.MergePatchType, []byte(`{"metadata":{"labels":{"applyset.kubernetes.io/part-of":"another"}}}`), metav1.PatchOptions{})
			return err
		},
		"replaced": func() error {
			o, err := maps.Get(t.Context(), "replaced", metav1.GetOptions{})
			if err != nil {
				return err
			}
			o.UID, o.ResourceVersion = "", ""
			if err := maps.Delete(t.Context(), "replaced", metav1.DeleteOptions{}); err != nil {
				return err
			}
			_, err = maps.Create(t.Context(), o, metav1.CreateOptions{})
			return err
		},
		"production.iris": func() error { // another process of this owner claims it
			_, err := c.Claim(t.Context(), cluster.Target{Namespace: ns, Environment: "production", Release: "iris", Commit: "c3"})
			return err
		},
	}
	var mu sync.Mutex
	slow := reopen(t, ns, func(cfg *cluster.Config) {
		cfg.REST = restCopy()
		cfg.REST.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return before(func(r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				name := path.Base(r.URL.Path)
				if change := meanwhile[name]; change != nil && r.Method == http.MethodDelete {
					delete(meanwhile, name)
					if err := change(); err != nil {
						t.Errorf("changing %s: %v", name, err)
					}
				}
			}, next)
		})
	})
	set, err := slow.Prune(t.Context(), mr, mr.Status.Inventory)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "pruned", actions(set), "skipped ConfigMap/given-away, skipped ConfigMap/replaced")
	for _, name := range []string{"given-away", "replaced"} {
		if _, err := maps.Get(t.Context(), name, metav1.GetOptions{}); err != nil {
			t.Errorf("somebody else's object was deleted: %v", err)
		}
	}
	if err := slow.Delete(t.Context(), mr); !errors.Is(err, cluster.ErrConflict) {
		t.Errorf("deleting a release that was claimed meanwhile: %v", err)
	}
	if mr, err := c.Release(t.Context(), ns, "production", "iris"); err != nil || mr == nil || mr.Spec.Claim.Commit != "c3" {
		t.Errorf("the release that was claimed meanwhile: %v, %v", mr, err)
	}
}

// before is called with each request on its way to the API server.
func before(f func(*http.Request), next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		f(r)
		return next.RoundTrip(r)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestADeletionIsClaimed: who decided on a stale copy deletes nothing of what another process claimed since.
func TestADeletionIsClaimed(t *testing.T) {
	c, ns := open(t)
	mr, _ := deploy(t, c, ns, "c1", configMap("settings"))
	if _, err := c.Claim(t.Context(), cluster.Target{Namespace: ns, Environment: "production", Release: "iris", Commit: "c2"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), mr); !errors.Is(err, cluster.ErrConflict) {
		t.Errorf("deleting a release that was claimed since: %v", err)
	}
	if _, err := client.CoreV1().ConfigMaps(ns).Get(t.Context(), "settings", metav1.GetOptions{}); err != nil {
		t.Errorf("its object: %v", err)
	}
	fresh, err := c.Release(t.Context(), ns, "production", "iris")
	if err != nil || fresh == nil {
		t.Fatal(fresh, err)
	}
	if err := c.Delete(t.Context(), fresh); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().ConfigMaps(ns).Get(t.Context(), "settings", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("its object: %v", err)
	}
}
