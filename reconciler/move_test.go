package reconciler_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestRemoval deletes a release the registry no longer has.
func TestRemoval(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.reconciler().Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.git("rm", "-q", "releases/iris/staging.yaml")
	w.commit("staging serves iris no more")
	if err := w.reconciler().Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if mr, err := w.cluster.Release(t.Context(), w.namespace("staging"), "staging", "iris"); err != nil || mr != nil {
		t.Errorf("the ModelRelease is still there: %v %v", mr, err)
	}
	if got := w.status("production"); got.Phase != v1alpha1.Healthy || len(got.Inventory) != 2 {
		t.Errorf("production: %+v", got)
	}
}

// TestGuards: what looks like a slip deletes nothing and says so.
func TestGuards(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		slip func(w *world)
		why  string
	}{
		"no-releases": {func(w *world) { w.git("rm", "-q", "-r", "releases") }, "no releases at all"},
		"no-environment": {func(w *world) {
			w.git("rm", "-q", "-r", "environments/production", "releases/iris/production.yaml")
		}, "environments/production/environment.yaml is missing"},
		"too-many": {func(w *world) {
			w.git("rm", "-q", "releases/iris/production.yaml", "releases/second/production.yaml")
		}, "2 releases would be deleted and prune.maxDeletions is 1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if err := os.CopyFS(filepath.Join(w.dir, "releases/second"), os.DirFS(filepath.Join(w.dir, "releases/iris"))); err != nil {
				t.Fatal(err)
			}
			w.edit("environments/production/environment.yaml", "bake: 100ms", "bake: 100ms\n  prune: {maxDeletions: 1}")
			w.commit("two releases, and deletions one at a time")
			if err := w.reconciler().Once(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.slip(w)
			w.commit("a slip")
			r := w.reconciler()
			if err := r.Once(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := r.Unwell()[production]; !strings.Contains(got, c.why) {
				t.Errorf("production/iris: %q, want %q", got, c.why)
			}
			if got := w.status("production"); got.Phase != v1alpha1.Healthy || len(got.Inventory) != 2 {
				t.Errorf("production was touched: %+v", got)
			}
		})
	}
}

// TestDeletionsByDefault: where an environment says nothing, one commit deletes ten releases and not eleven. A file that
// is broken asks for no deletion and counts as none.
func TestDeletionsByDefault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	names := strings.Split("abcdefghijkl", "")
	w.add(names...)
	w.commit("a dozen releases more")
	if err := w.reconciler().Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range names[:11] {
		w.remove("releases/" + name)
	}
	w.commit("eleven releases less")
	r := w.reconciler()
	if err := r.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.Unwell()["production/a"]; !strings.Contains(got, "11 releases would be deleted and prune.maxDeletions is 10") {
		t.Errorf("production/a: %q", got)
	}
	for _, name := range names {
		w.of(name)
	}

	w.git("revert", "--no-edit", "HEAD")
	for _, name := range names[:10] {
		w.remove("releases/" + name)
	}
	for _, name := range names[10:] {
		w.edit("releases/"+name+"/production.yaml", "version: v1", "verison: v1")
	}
	w.commit("ten releases less, and two slips of the pen")
	if err := w.reconciler().Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range names[:10] {
		if mr, err := w.cluster.Release(t.Context(), w.namespace("production"), "production", name); err != nil || mr != nil {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	for _, name := range names[10:] {
		w.of(name)
	}
}

// TestMoveTakenBack changes an environment's namespace and back before the release is healthy there: the one
// at home stays, the other goes.
func TestMoveTakenBack(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart-%t", restart), func(t *testing.T) {
			w := newWorld(t)
			stop := w.follow()
			w.until(production, "v1", v1alpha1.Healthy)
			home, file := w.namespace("production"), "environments/production/environment.yaml"
			w.edit(file, "bake: 100ms", "bake: 20s")
			w.edit(file, "namespace: "+home, "namespace: "+home+"-new")
			w.commit("move production")
			w.until(production, "v1", v1alpha1.Progressing)
			if restart {
				stop()
				w.follow()
			}
			w.git("revert", "--no-edit", "HEAD")
			w.until(production, "v1", v1alpha1.Healthy)
			got := w.drain("production", "healthy at home", func(s v1alpha1.ModelReleaseStatus) bool {
				return s.Phase == v1alpha1.Healthy && s.Applied.Commit == w.git("rev-parse", "HEAD")
			})
			if len(got.Inventory) != 2 {
				t.Errorf("inventory %+v", got.Inventory)
			}
			w.gone(home + "-new")
		})
	}
}

// TestMove changes an environment's namespace: made there, healthy, and only then deleted here.
func TestMove(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	home, file := w.namespace("production"), "environments/production/environment.yaml"
	w.edit(file, "namespace: "+home, "namespace: "+home+"-new")
	w.commit("move production")
	w.until(production, "v1", v1alpha1.Healthy)
	w.gone(home)
}

// TestMoveOfWhatAnotherClaimed: a release that moved is left where it was when somebody has claimed it there since.
func TestMoveOfWhatAnotherClaimed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	stop()
	home, file := w.namespace("production"), "environments/production/environment.yaml"
	w.edit(file, "bake: 100ms", "bake: 20s")
	w.edit(file, "namespace: "+home, "namespace: "+home+"-new")
	w.commit("move production")
	r := w.reconciler()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	w.until(production, "v1", v1alpha1.Progressing)
	w.another(home)
	w.eventually("told", func() bool {
		return strings.Contains(r.Unwell()[production], "deleting the release in its old namespace")
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if mr := w.release("production"); mr.Spec.Claim.Holder != "another" {
		t.Errorf("claimed by %s", mr.Spec.Claim.Holder)
	}
	w.deployment("iris")
}

// TestMoveThatFails keeps the release where it was until the one in the new namespace is healthy.
func TestMoveThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	home, file := w.namespace("production"), "environments/production/environment.yaml"
	w.edit(file, "namespace: "+home, "namespace: "+home+"-new")
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3") // its simulated pods crash
	w.commit("move production, and break it")
	w.eventually("held in the new namespace", func() bool {
		mr, err := w.cluster.Release(t.Context(), home+"-new", "production", "iris")
		return err == nil && mr != nil && mr.Status.Held != nil
	})
	if got := w.deployment("iris"); got.DeletionTimestamp != nil || got.Status.ReadyReplicas != 1 {
		t.Errorf("what served before has %d ready replicas", got.Status.ReadyReplicas)
	}
	w.release("production")
	w.edit("releases/iris/production.yaml", "version: v3", "version: v2")
	w.commit("mend it")
	w.until(production, "v2", v1alpha1.Healthy)
	w.gone(home)
}

// TestPruneWaitsForHealthy: what only the old revision has stays until the new one is healthy, and so for good when
// the release goes back.
func TestPruneWaitsForHealthy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	runtime := "runtimes/iris-server/0.1.0/"
	w.write(runtime+"config.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n")
	w.edit(runtime+"kustomization.yaml", "  - service.yaml\n", "  - service.yaml\n  - config.yaml\n")
	w.commit("a ConfigMap")
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	maps := func() (uids []types.UID) {
		list, err := w.kubectl().CoreV1().ConfigMaps(w.namespace("production")).List(t.Context(), metav1.ListOptions{LabelSelector: cluster.LabelRelease + "=iris"})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list.Items {
			uids = append(uids, o.UID)
		}
		return uids
	}
	before := maps()
	w.edit(runtime+"kustomization.yaml", "  - config.yaml\n", "")
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3") // its simulated pods crash
	w.commit("no ConfigMap any more, and a version that crashes")
	w.until(production, "v1", v1alpha1.RolledBack)
	if after := maps(); len(before) != 1 || !slices.Equal(after, before) {
		t.Errorf("ConfigMaps %v, were %v", after, before)
	}
	w.edit("releases/iris/production.yaml", "version: v3", "version: v2")
	w.commit("mend it")
	w.until(production, "v2", v1alpha1.Healthy)
	if left := maps(); len(left) > 0 {
		t.Errorf("not pruned: %v", left)
	}
}

// gone wants production/iris to be in a namespace no more.
func (w *world) gone(namespace string) {
	w.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); ; {
		mr, err := w.cluster.Release(w.t.Context(), namespace, "production", "iris")
		if err == nil && mr == nil {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("production/iris is still in %s: %v %v", namespace, mr, err)
		}
		select {
		case <-w.reports:
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// TestOtherOwner is refused at once, with the way out, and taken over when that is said.
func TestOtherOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.reconciler().Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", dev.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	as := func(takeOver bool) *reconciler.Reconciler {
		return w.reconciler(func(c *reconciler.Config) {
			c.Owner = w.id + "-another"
			if c.Cluster, err = cluster.New(t.Context(), cluster.Config{REST: config, Owner: w.id + "-another", TakeOver: takeOver}); err != nil {
				t.Fatal(err)
			}
		})
	}
	other := as(false)
	if err := other.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if why := other.Unwell()[production]; !strings.Contains(why, w.id) || !strings.Contains(why, "--take-over") {
		t.Errorf("production/iris: %q", why)
	}
	taken := as(true)
	if err := taken.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if unwell := taken.Unwell(); len(unwell) > 0 || w.release("production").Spec.Owner != w.id+"-another" {
		t.Errorf("after the take-over: %v %+v", unwell, w.status("production"))
	}
}

// TestRename keeps the old name serving until the new one is healthy.
func TestRename(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.git("mv", "releases/iris", "releases/flower")
	w.edit("releases/flower/production.yaml", "version: v1", "version: v3") // its simulated pods crash
	w.commit("rename, and break it")
	w.eventually("held", func() bool {
		mr, err := w.cluster.Release(t.Context(), w.namespace("production"), "production", "flower")
		return err == nil && mr != nil && mr.Status.Held != nil
	})
	if got := w.deployment("iris").Status.ReadyReplicas; got != 1 {
		t.Errorf("%d replicas of the old name while the new one is not healthy", got)
	}
	w.edit("releases/flower/production.yaml", "version: v3", "version: v2")
	w.commit("mend it")
	for removed := false; !removed; {
		r := w.any(reconciler.Removed, v1alpha1.Healthy)
		removed = r.Phase == reconciler.Removed && r.Key.String() == production
	}
	if w.of("flower").Phase != v1alpha1.Healthy {
		t.Errorf("the old name went first: %+v", w.of("flower"))
	}
}

// TestAConflictIsNotTriedForEver: an object of somebody else's is told of once, not with each claim's own echo.
func TestAConflictIsNotTriedForEver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	client, namespace := w.kubectl(), w.namespace("production")
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "iris"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 1}}}}
	if _, err := client.CoreV1().Services(namespace).Create(t.Context(), service, metav1.CreateOptions{FieldManager: "somebody"}); err != nil {
		t.Fatal(err)
	}
	w.follow()
	w.eventually("in conflict", func() bool {
		mr, err := w.cluster.Release(t.Context(), namespace, "production", "iris")
		return err == nil && mr != nil && mr.Status.Reason == "Conflict"
	})
	w.until(staging, "v1", v1alpha1.Healthy)
	token := w.release("production").Spec.Claim.Token
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v2")
	w.commit("another release")
	w.until(staging, "v2", v1alpha1.Healthy)
	if now := w.release("production").Spec.Claim.Token; now > token+1 {
		t.Errorf("claimed %d times while nothing changed", now-token)
	}
}
