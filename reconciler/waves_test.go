package reconciler_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestWaves takes a change of a shared file through an environment in waves, and stops when one fails.
func TestWaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	names := []string{"a", "b", "c", "d"}
	w.add(names...)
	w.edit("environments/production/environment.yaml", "bake: 100ms", "bake: 100ms\n  fleet: {waves: [1, 50%, 100%], soak: 1s, stopAfterFailed: 1}")
	w.remove("releases/iris")
	w.commit("four releases")
	w.follow()
	w.all(names...)
	deployment := "runtimes/iris-server/0.1.0/deployment.yaml"
	w.edit(deployment, "terminationGracePeriodSeconds: 10", "terminationGracePeriodSeconds: 11")
	w.commit("a shared change")
	var order []string
	for len(order) < 4 {
		r := w.any(v1alpha1.Healthy, v1alpha1.Progressing)
		if r.Phase == v1alpha1.Progressing {
			order = append(order, r.Key.Name)
		} else if len(order) == 1 && r.Key.Name != "a" || len(order) == 2 && !slices.Contains([]string{"a", "b"}, r.Key.Name) {
			t.Errorf("%s was healthy before its wave began: %v", r.Key, order)
		}
	}
	if order[0] != "a" || order[1] != "b" {
		t.Errorf("order %v, want a, then b, then c and d", order)
	}
	head := w.git("rev-parse", "HEAD")
	for _, name := range names {
		w.eventually(name+" healthy at the shared change", func() bool { return w.of(name).Healthy.Commit == head })
	}

	// A release that is held, and one that a newer commit of its own takes along, hold up nobody.
	w.edit("releases/b/production.yaml", "version: v1", "version: v3") // its simulated pods crash
	w.commit("b breaks")
	w.eventually("held", func() bool { return w.of("b").Phase == v1alpha1.RolledBack })
	w.edit(deployment, "terminationGracePeriodSeconds: 11", "terminationGracePeriodSeconds: 12")
	w.commit("another shared change")
	head = w.git("rev-parse", "HEAD")
	w.edit("releases/a/production.yaml", "version: v1", "version: v2")
	w.commit("a at v2, while its wave is under way or not")
	for _, name := range []string{"c", "d"} {
		w.eventually(name+" healthy at the second shared change", func() bool { return w.of(name).Healthy.Commit == head })
	}
	if status := w.of("b"); status.Held == nil || status.Applied.Version != "v1" {
		t.Errorf("b: %+v", status)
	}
	w.eventually("a at v2", func() bool { return w.of("a").Healthy.Version == "v2" })

	w.edit(deployment, "periodSeconds: 2", "periodSeconds: -2") // the API server refuses it
	w.commit("a shared change that is wrong")
	w.eventually("failed in the first wave", func() bool { return w.of("a").Held != nil })
	for _, name := range names[2:] {
		if status := w.of(name); status.Held != nil || status.Phase != v1alpha1.Healthy {
			t.Errorf("%s was moved by a shared change that had failed: %+v", name, status)
		}
	}
	w.git("revert", "--no-edit", "HEAD")
	w.eventually("free of the hold", func() bool { status := w.of("a"); return status.Held == nil && status.Phase == v1alpha1.Healthy })
}

// TestWayBack: what takes a shared change back goes through no waves, and the rollout under way is told meanwhile.
func TestWayBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	names := []string{"a", "b", "c", "d"}
	w.add(names...)
	w.edit("environments/production/environment.yaml", "bake: 100ms", "bake: 100ms\n  fleet: {waves: [50%, 100%], soak: 5s}")
	w.remove("releases/iris")
	w.commit("four releases")
	told := make(chan []v1alpha1.Rollout, 100)
	w.follow(func(c *reconciler.Config) { c.Rollouts = func(r []v1alpha1.Rollout) { told <- r } })
	w.all(names...)
	w.edit("runtimes/iris-server/0.1.0/deployment.yaml", "terminationGracePeriodSeconds: 10", "terminationGracePeriodSeconds: 11")
	w.commit("a shared change")
	head := w.git("rev-parse", "HEAD")
	w.eventually("soaking", func() bool {
		r := w.rollouts(told)
		return len(r) == 1 && r[0].Commit == head && r[0].Wave == 2 && r[0].Begun == 2 && r[0].Releases == 4 && r[0].NotBefore != nil
	})
	for _, name := range names {
		w.eventually(name+" healthy at the shared change", func() bool { return w.of(name).Healthy.Commit == head })
	}
	w.eventually("no rollout left", func() bool { return len(w.rollouts(told)) == 0 })
	w.git("revert", "--no-edit", "HEAD")
	back := w.git("rev-parse", "HEAD")
	for _, name := range names {
		w.eventually(name+" back", func() bool { return w.of(name).Healthy.Commit == back })
	}
	for len(told) > 0 {
		if r := <-told; len(r) > 0 {
			t.Errorf("the way back went in waves: %+v", r)
		}
	}
}

// TestSoak: between two waves the soak is waited for.
func TestSoak(t *testing.T) {
	w := newWorld(t)
	w.add("a", "b")
	w.edit("environments/production/environment.yaml", "bake: 100ms", "bake: 100ms\n  fleet: {waves: [1, 100%], soak: 8s}")
	w.remove("releases/iris")
	w.commit("two releases")
	w.follow()
	w.all("a", "b")
	w.edit("runtimes/iris-server/0.1.0/deployment.yaml", "terminationGracePeriodSeconds: 10", "terminationGracePeriodSeconds: 11")
	w.commit("a shared change")
	w.until("production/a", "v1", v1alpha1.Healthy)
	began := time.Now()
	w.until("production/b", "v1", v1alpha1.Progressing)
	if took := time.Since(began); took < 3*time.Second { // of eight: reports take their time, too
		t.Errorf("the second wave began %s after the first", took)
	}
}

// rollouts are those that are told of next.
func (w *world) rollouts(told <-chan []v1alpha1.Rollout) []v1alpha1.Rollout {
	w.t.Helper()
	select {
	case r := <-told:
		return r
	case <-time.After(2 * time.Minute):
		w.t.Fatal("nothing more is told of rollouts")
		return nil
	}
}

// TestWavesAfterARestart: another process takes a rollout on where it was, with all its releases.
func TestWavesAfterARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	names := []string{"a", "b", "c", "d"}
	w.add(names...)
	w.edit("environments/production/environment.yaml", "bake: 100ms", "bake: 1s\n  fleet: {waves: [1, 50%, 100%], soak: 10s}")
	w.remove("releases/iris")
	w.commit("four releases")
	stop := w.follow()
	w.all(names...)
	w.edit("runtimes/iris-server/0.1.0/deployment.yaml", "terminationGracePeriodSeconds: 10", "terminationGracePeriodSeconds: 11")
	w.commit("a shared change")
	head := w.git("rev-parse", "HEAD")
	w.until("production/a", "v1", v1alpha1.Healthy)
	began := time.Now()
	stop()
	told := make(chan []v1alpha1.Rollout, 100)
	w.follow(func(c *reconciler.Config) { c.Rollouts = func(r []v1alpha1.Rollout) { told <- r } })
	w.eventually("in the last wave", func() bool {
		r := w.rollouts(told)
		if len(r) != 1 || r[0].Commit != head || r[0].Waves != 3 || r[0].Releases != 4 || r[0].Wave == 1 {
			t.Fatalf("after the restart: %+v", r)
		}
		return r[0].Wave == 3
	})
	if took := time.Since(began); took < 5*time.Second { // of ten
		t.Errorf("the restart ended the soak: two waves later after %s", took)
	}
	if got := w.of("b"); got.Healthy.Commit != head {
		t.Errorf("the last wave began, and b is not healthy: %+v", got)
	}
	for _, name := range names[2:] {
		if got := w.of(name); got.Applied.Commit == head {
			t.Errorf("%s did not wait for its wave: %+v", name, got)
		}
	}
}

// TestDependsOn applies a release only when what it depends on is healthy at the same commit.
func TestDependsOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("ranker")
	w.edit("releases/ranker/serving.yaml", "  replicas: 1\n", "  replicas: 1\n  dependsOn: [iris]\n")
	w.commit("a ranker that needs iris")
	w.follow()
	healthy := map[string]bool{}
	for !healthy["production/ranker"] {
		r := w.any(v1alpha1.Healthy, v1alpha1.Progressing)
		if r.Key.String() == "production/ranker" && !healthy[production] {
			t.Fatalf("ranker is %s before iris is healthy", r.Phase)
		}
		healthy[r.Key.String()] = healthy[r.Key.String()] || r.Phase == v1alpha1.Healthy
	}

	w.edit("releases/iris/production.yaml", "version: v1", "version: v3") // crashes
	w.edit("releases/ranker/production.yaml", "version: v1", "version: v2")
	w.commit("both change, and iris fails")
	w.drain("production", "back at v1", func(s v1alpha1.ModelReleaseStatus) bool { return s.Phase == v1alpha1.RolledBack })
	w.eventually("waiting", func() bool { return w.of("ranker").Phase == v1alpha1.Waiting })
	if status := w.of("ranker"); status.Applied.Version != "v1" || !strings.Contains(status.Message, "production/iris") {
		t.Errorf("ranker: %+v", status)
	}
	w.edit("releases/iris/production.yaml", "version: v3", "version: v2")
	w.commit("iris at v2")
	w.until("production/ranker", "v2", v1alpha1.Healthy)
}
