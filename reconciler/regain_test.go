package reconciler_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// newCluster has the world's registry followed into a new, empty cluster; the OCI registry stays.
func (w *world) newCluster() kubernetes.Interface {
	w.t.Helper()
	fresh, err := devcluster.Start(w.t.Context(), devcluster.Config{Nodes: 1, Stages: []string{"testdata/crash-v3.yaml"}, Log: os.Stderr})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := fresh.Stop(); err != nil {
			w.t.Error(err)
		}
	})
	config, err := clientcmd.BuildConfigFromFlags("", fresh.Kubeconfig)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.cluster, err = cluster.New(w.t.Context(), cluster.Config{REST: config, Owner: w.id}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.cluster.Install(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

// inGit waits until the notes tell of an outcome.
func (w *world) inGit(release string, outcome v1alpha1.Phase) {
	w.t.Helper()
	w.eventually(string(outcome)+" in Git", func() bool {
		return strings.Contains(w.git("log", "--notes=davit", "--format=%N"), `"release":"`+release+`","outcome":"`+string(outcome)+`"`)
	})
}

// TestNewClusterFromGit brings a cluster back from Git alone: each release serves what it served, what failed stays held
// and what a person pinned stays pinned, no image is built, and nothing trains again.
func TestNewClusterFromGit(t *testing.T) {
	w := newTrainingWorld(t)
	w.add("failed", "well")
	w.edit("environments/production/environment.yaml", "onFailure: rollback", "onFailure: rollback, git: none")
	w.commit("more releases")
	follow := func() (stop func()) {
		return w.follow(noting, func(c *reconciler.Config) {
			c.Committer, c.Name = &gitops.Author{Name: "davit", Email: "davit@example.com"}, "here"
		})
	}
	stop := follow()
	w.all("iris", "failed", "well")
	w.spec("7")
	w.commit("train iris")
	hash := w.publish()
	w.ended(hash, gitops.RunSucceeded)
	for _, name := range []string{"iris", "failed", "well"} {
		w.edit("releases/"+name+"/production.yaml", "version: v1", "version: v2")
	}
	w.commit("v2 everywhere")
	w.all("iris", "failed", "well")
	w.edit("releases/failed/production.yaml", "version: v2", "version: v3") // its pods crash
	w.commit("v3")
	w.until("production/failed", "v2", v1alpha1.RolledBack)
	w.pin("HEAD", "v1") // production/iris
	w.pinnedAt("v1")
	w.inGit("production/iris", v1alpha1.Pinned)
	w.inGit("production/failed", v1alpha1.RolledBack)
	stop()

	client := w.newCluster()
	for len(w.reports) > 0 {
		<-w.reports
	}
	follow()
	for name, version := range map[string]string{"iris": "v1", "failed": "v2", "well": "v2"} {
		var last *v1alpha1.ModelRelease
		defer func() {
			if t.Failed() {
				t.Logf("%s, wanted at %s: %+v", name, version, last)
			}
		}()
		w.eventually(name+" serving again", func() (ok bool) {
			var err error
			if last, err = w.cluster.Release(t.Context(), w.namespace("production"), "production", name); err != nil {
				t.Fatal(err)
			}
			return last != nil && last.Status.Applied.Version == version && (last.Status.Phase == v1alpha1.Healthy || last.Status.Phase == v1alpha1.RolledBack)
		})
	}
	for len(w.reports) > 0 {
		if r := <-w.reports; r.Uploaded > 0 || r.Version == "v3" {
			t.Errorf("brought %s at %s with %d bytes uploaded", r.Key, r.Version, r.Uploaded)
		}
	}
	if held := w.of("failed").Held; held == nil || held.Version != "v3" {
		t.Errorf("held: %+v", held)
	}
	if pin := w.release("production").Spec.Pin; pin == nil || pin.By != "ada" || pin.Version != "v1" {
		t.Errorf("pin: %+v", pin)
	}
	if jobs, err := client.BatchV1().Jobs("").List(t.Context(), metav1.ListOptions{}); err != nil || len(jobs.Items) > 0 {
		t.Errorf("it trains again: %d Jobs, %v", len(jobs.Items), err)
	}
	if run := w.run(hash); run.State != gitops.RunSucceeded {
		t.Errorf("the run is %s", run.State)
	}
	// Hold and pin end as they would have in the cluster that is gone.
	w.edit("releases/failed/production.yaml", "version: v3", "version: v1")
	w.edit("releases/iris/production.yaml", "version: v2", "version: v2\n  replicas: 1")
	w.commit("v1 then, and v2 all the same")
	w.eventually("at the branch's tip", func() bool { return w.of("failed").Healthy.Version == "v1" && w.of("iris").Healthy.Version == "v2" })
}

// TestOutcomesOfOneSecond brings back what was healthy last before a failure, also where Git tells of both that were healthy in
// one and the same second; and what a person chose, though it became healthy after the choice.
func TestOutcomesOfOneSecond(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	failed := []string{"one", "two", "three", "four", "five", "six"}
	note := func(commit, name string, outcome v1alpha1.Phase, version, at, more string) {
		w.git("notes", "--ref=davit", "append", "-m", `{"at":"2026-01-02T03:04:`+at+`Z","release":"production/`+name+`","outcome":"`+string(outcome)+`","version":"`+version+`"`+more+`}`, commit)
	}
	all := append(slices.Clone(failed), "pinned")
	w.add(all...)
	w.commit("v1")
	for _, name := range all {
		note("HEAD", name, v1alpha1.Healthy, "v1", "05", "")
		w.edit("releases/"+name+"/production.yaml", "version: v1", "version: v2")
	}
	w.commit("v2")
	for _, name := range all {
		note("HEAD", name, v1alpha1.Healthy, "v2", "05", "")
	}
	for _, name := range failed {
		w.edit("releases/"+name+"/production.yaml", "version: v2", "version: v3")
	}
	w.commit("v3")
	tip := strings.TrimSpace(w.git("rev-parse", "HEAD"))
	for _, name := range failed {
		note("HEAD", name, v1alpha1.RolledBack, "v3", "05", "")
	}
	note("HEAD~1", "pinned", v1alpha1.Pinned, "v2", "06", `,"serves":"v1","by":"ada","commit":"`+tip+`"`)
	note("HEAD", "pinned", v1alpha1.Healthy, "v1", "07", "")
	w.follow()
	served := func(name, version string, phase v1alpha1.Phase) {
		w.eventually(name+" at "+version, func() bool {
			mr, err := w.cluster.Release(t.Context(), w.namespace("production"), "production", name)
			if err != nil {
				t.Fatal(err)
			}
			return mr != nil && mr.Status.Phase == phase && mr.Status.Applied.Version == version
		})
	}
	for _, name := range failed {
		served(name, "v2", v1alpha1.RolledBack)
		if held := w.of(name).Held; held == nil || held.Version != "v3" {
			t.Errorf("%s holds %+v", name, held)
		}
	}
	served("pinned", "v1", v1alpha1.Healthy)
}
