package reconciler_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestRemoval deletes a release the registry no longer has, and nothing where a guard stops it.
func TestRemoval(t *testing.T) {
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.drain("staging", "healthy", healthy)

	w.git("rm", "-q", "-r", "releases")
	w.commit("no releases at all")
	w.git("revert", "--no-edit", "HEAD")
	w.git("rm", "-q", "releases/iris/staging.yaml")
	w.commit("staging serves iris no more")
	for {
		select {
		case r := <-w.reports:
			if r.Phase != reconciler.Removed {
				continue
			}
			if r.Key.String() != staging {
				t.Fatalf("%s was removed", r.Key)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("staging/iris was not removed")
		}
		break
	}
	if mr, err := w.cluster.Release(t.Context(), w.namespace("staging"), "staging", "iris"); err != nil || mr != nil {
		t.Errorf("the ModelRelease is still there: %v %v", mr, err)
	}
	if got := w.status("production"); got.Phase != v1alpha1.Healthy {
		t.Errorf("production: %+v", got)
	}
}

// TestMoveTakenBack changes an environment's namespace and back before the release is healthy there: the one
// at home stays, the other goes.
func TestMoveTakenBack(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart-%t", restart), func(t *testing.T) {
			w := newWorld(t)
			stop := w.follow()
			w.until(production, "v1", v1alpha1.Healthy)
			home, file := w.namespace("production"), "environments/production/environment.yaml"
			w.edit(file, "bake: 100ms", "bake: 5s")
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
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	home, file := w.namespace("production"), "environments/production/environment.yaml"
	w.edit(file, "namespace: "+home, "namespace: "+home+"-new")
	w.commit("move production")
	w.until(production, "v1", v1alpha1.Healthy)
	w.gone(home)
}

// gone wants production/iris to be in a namespace no more.
func (w *world) gone(namespace string) {
	w.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
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
			c.Owner = "another"
			if c.Cluster, err = cluster.New(t.Context(), cluster.Config{REST: config, Owner: "another", TakeOver: takeOver}); err != nil {
				t.Fatal(err)
			}
		})
	}
	other := as(false)
	if err := other.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if why := other.Unwell()[production]; !strings.Contains(why, t.Name()) || !strings.Contains(why, "--take-over") {
		t.Errorf("production/iris: %q", why)
	}
	taken := as(true)
	if err := taken.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if unwell := taken.Unwell(); len(unwell) > 0 || w.status("production").Owner != "another" {
		t.Errorf("after the take-over: %v %+v", unwell, w.status("production"))
	}
}
