package reconciler_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestServingMetricsAreThoseApplied: what a version is held against is what was applied, not what the files say of that now.
func TestServingMetricsAreThoseApplied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.promote("v1", "v2")
	w.until(production, "v2", v1alpha1.Healthy)
	w.policy("production", "  gates: {metrics: {accuracy: {maxDropFromServing: 0.01}}}\n")
	w.write("models/iris/versions/v24.yaml", strings.ReplaceAll(w.text("models/iris/versions/v1.yaml"), "0.72", "0.71"))
	w.edit("models/iris/versions/v2.yaml", "accuracy: 0.96", "accuracy: 0.71")
	w.promote("v2", "v24")
	w.waits("GateClosed", "accuracy of iris@v24 is 0.71")
	w.edit("models/iris/versions/v2.yaml", "accuracy: 0.71", "accuracy: 0.96")
	w.git("mv", "models/iris", "models/flower")
	w.edit("releases/iris/serving.yaml", "model: iris", "model: flower")
	w.commit("the model by another name")
	w.waits("GateClosed", "accuracy of flower@v24 is 0.71")
}

// TestAnotherModelsVersion: that a release was healthy at v2 of another model is no way back to v2 of this one.
func TestAnotherModelsVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("models/other/model.yaml", w.text("models/iris/model.yaml"))
	for _, v := range []string{"v1", "v2"} {
		w.write("models/other/versions/"+v+".yaml", w.text("models/iris/versions/"+v+".yaml"))
	}
	w.commit("two models")
	stop := w.follow(noting)
	w.until(production, "v1", v1alpha1.Healthy)
	w.promote("v1", "v2")
	w.until(production, "v2", v1alpha1.Healthy)
	w.promote("v2", "v1")
	w.until(production, "v1", v1alpha1.Healthy)
	stop()
	w.policy("production", "  gates: {evidence: [model-card]}\n")
	w.edit("releases/iris/serving.yaml", "model: iris", "model: other")
	w.promote("v1", "v2")
	w.follow(noting)
	w.waits("GateClosed", "other@v2 needs a file")
}

// TestTakenBackBeforeItsTurn: when what waits is not asked for any more, nothing tells of it any more.
func TestTakenBackBeforeItsTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.policy("production", "  gates: {evidence: [model-card]}\n")
	w.promote("v1", "v2")
	w.waits("GateClosed", "model-card")
	w.promote("v2", "v1")
	w.drain("production", "healthy again", func(s v1alpha1.ModelReleaseStatus) bool { return s.Phase == v1alpha1.Healthy && s.Message == "" })

	w.policy("production", freeze(time.Hour))
	w.git("mv", "releases/iris/production.yaml", "production.yaml")
	w.commit("removed in a freeze")
	w.waits("Frozen", "its removal waits")
	w.git("mv", "production.yaml", "releases/iris/production.yaml")
	w.commit("and there again")
	w.drain("production", "healthy again", func(s v1alpha1.ModelReleaseStatus) bool { return s.Phase == v1alpha1.Healthy && s.Message == "" })
}

// TestWavesPassWhoWaits: a release that waits for its gates holds up no shared change.
func TestWavesPassWhoWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	names := []string{"a", "b", "c"}
	w.add(names...)
	w.policy("production", "  fleet: {waves: [1, 100%], soak: 1s}\n  gates: {evidence: [model-card]}\n")
	w.write("models/iris/evidence/v1/model-card.md", "It knows flowers.")
	w.remove("releases/iris")
	w.commit("three releases")
	w.follow()
	w.all(names...)
	w.edit("releases/a/production.yaml", "version: v1", "version: v2")
	w.commit("a waits")
	w.eventually("a waits", func() bool { return w.of("a").Reason == "GateClosed" })
	w.edit("runtimes/iris-server/0.1.0/deployment.yaml", "terminationGracePeriodSeconds: 10", "terminationGracePeriodSeconds: 11")
	w.commit("a shared change")
	head := w.git("rev-parse", "HEAD")
	for _, name := range names[1:] {
		w.eventually(name+" healthy at the shared change", func() bool { return w.of(name).Healthy.Commit == head })
	}
}

// TestDependsOnWhoWaits: what depends on a release that policy keeps back is settled as that is, and goes on with it.
func TestDependsOnWhoWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("ranker")
	w.edit("releases/ranker/serving.yaml", "  replicas: 1\n", "  replicas: 1\n  dependsOn: [iris]\n")
	w.commit("a ranker that needs iris")
	if err := w.reconciler().Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.policy("production", "  gates: {metrics: {accuracy: {min: 0.99}}}\n")
	w.edit("releases/ranker/serving.yaml", "replicas: 1", "replicas: 2")
	w.promote("v1", "v2")
	done := make(chan error, 1)
	go func() { done <- w.reconciler().Once(t.Context()) }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(90 * time.Second):
		t.Fatal("it waits for ever for a release that waits")
	}
	if s := w.of("ranker"); s.Phase != v1alpha1.Waiting || s.Reason != "DependsOn" || s.Applied.Version != "v1" {
		t.Errorf("%+v", s)
	}
	w.follow()
	w.edit("environments/production/environment.yaml", "min: 0.99", "min: 0.9")
	w.commit("the gate opens")
	w.drain("production", "at v2", func(s v1alpha1.ModelReleaseStatus) bool { return s.Healthy.Version == "v2" })
	w.eventually("ranker follows", func() bool {
		return w.of("ranker").Phase == v1alpha1.Healthy && *w.deployment("ranker").Spec.Replicas == 2
	})
}

// TestHealthyWithoutReplicas: what does not run has not shown that it is healthy.
func TestHealthyWithoutReplicas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.policy("production", "  gates: {healthyIn: {staging: 0s}}\n")
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v2\n  replicas: 0")
	w.commit("v2 in staging, where nothing runs")
	w.until(staging, "v2", v1alpha1.Healthy)
	w.promote("v1", "v2")
	w.waits("GateClosed", "iris@v2 is not healthy in staging")
	w.edit("releases/iris/staging.yaml", "replicas: 0", "replicas: 1")
	w.commit("now it runs")
	w.until(production, "v2", v1alpha1.Healthy)
}

// TestGateOfAnotherControllerOpens by itself: nothing tells of what happens there.
func TestGateOfAnotherControllerOpens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	only := func(env string) func(*reconciler.Config) {
		return func(c *reconciler.Config) { c.Only = []string{env} }
	}
	w.policy("production", "  gates: {healthyIn: {staging: 0s}}\n")
	w.commit("healthy in staging first")
	w.follow(only("production"))
	w.eventually("shown", func() bool {
		mr, err := w.cluster.Release(t.Context(), w.namespace("production"), "production", "iris")
		return err == nil && mr != nil
	})
	second, err := cluster.New(t.Context(), cluster.Config{REST: restConfig(t), Owner: w.id})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.reconciler(only("staging"), func(c *reconciler.Config) { c.Cluster = second }).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.until(production, "v1", v1alpha1.Healthy)
}

// TestRenameInAFullQuota: the old release makes room for the new one where both have none.
func TestRenameInAFullQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.edit("accelerators/gpu/accelerator.yaml", "nvidia.com/gpu", "ephemeral-storage") // which nodes have, by the byte
	w.policy("production", "  quota: {gpus: 2}\n")
	w.edit("releases/iris/production.yaml", "version: v1\n", "version: v1\n  accelerator: gpu\n  gpus: 2\n")
	w.remove("releases/iris/staging.yaml")
	w.commit("all there are")
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.git("mv", "releases/iris", "releases/flower")
	w.commit("by another name")
	w.until("production/flower", "v1", v1alpha1.Healthy)
}

// TestWhatWaitsForAFailure: nobody waits for what waits for a release that failed: one that depends on it, or one that it
// was to take the place of. Another commit helps both.
func TestWhatWaitsForAFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("ranker")
	w.edit("releases/ranker/serving.yaml", "  replicas: 1\n", "  replicas: 1\n  dependsOn: [iris]\n")
	w.commit("a ranker that needs iris")
	once := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		if err := w.reconciler().Once(ctx); err != nil {
			t.Fatal(err)
		}
	}
	once()
	w.edit("releases/ranker/production.yaml", "version: v1", "version: v2")
	w.promote("v1", "v3") // its simulated pods crash
	once()
	if s := w.of("ranker"); s.Reason != "DependsOn" || s.Applied.Version != "v1" {
		t.Errorf("ranker: %+v", s)
	}
	w.git("mv", "releases/ranker", "releases/renamed")
	w.edit("releases/renamed/serving.yaml", "  dependsOn: [iris]\n", "")
	w.edit("releases/renamed/production.yaml", "version: v2", "version: v3")
	w.commit("renamed, and damaged")
	once()
	if s := w.of("renamed"); s.Phase != v1alpha1.Failed || w.of("ranker").Applied.Version != "v1" {
		t.Errorf("renamed: %+v", s)
	}
	w.edit("releases/renamed/production.yaml", "version: v3", "version: v2")
	w.commit("mended")
	once()
	w.eventually("gone", func() bool {
		mr, err := w.cluster.Release(t.Context(), w.namespace("production"), "production", "ranker")
		return err == nil && mr == nil
	})
}
