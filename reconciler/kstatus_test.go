package reconciler_test

import (
	"flag"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

var update = flag.Bool("update", false, "write golden files")

// kstatus is what kstatus makes of an object, and the object.
func (w *world) kstatus(in dynamic.ResourceInterface, name string) (status.Status, *unstructured.Unstructured) {
	w.t.Helper()
	live, err := in.Get(w.t.Context(), name, get)
	if err != nil {
		w.t.Fatal(err)
	}
	got, err := status.Compute(live)
	if err != nil {
		w.t.Fatal(err)
	}
	return got.Status, live
}

// stands waits until production's release is in a phase, and asks kstatus.
func (w *world) stands(phase v1alpha1.Phase, version string, want status.Status) {
	w.t.Helper()
	w.drain("production", string(phase)+" at "+version, func(s v1alpha1.ModelReleaseStatus) bool {
		return s.Phase == phase && (s.Applied.Version == version || version == "")
	})
	got, live := w.kstatus(w.modelReleases(), "production.iris")
	if got != want {
		w.t.Errorf("%s at %s is %s to kstatus, want %s: %v", phase, version, got, want, live.Object["status"])
	}
}

// run runs kubectl, the real one.
func (w *world) run(args ...string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), dev.Bin("kubectl"), append([]string{"--kubeconfig=" + dev.Kubeconfig, "-n", w.namespace("production")}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestKstatusOfReleases: what kubectl wait, Argo CD and Flux make of a ModelRelease, whatever its phase.
func TestKstatusOfReleases(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.edit("environments/production/environment.yaml", "onFailure: rollback", "onFailure: hold")
	w.commit("hold what fails")
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.stands(v1alpha1.Healthy, "v1", status.CurrentStatus)

	w.ask(func(s *v1alpha1.ModelReleaseSpec) { s.Suspend = &v1alpha1.Suspend{By: "ada", Reason: "launch"} })
	w.suspendedIs("True", "suspended by ada: launch")
	w.eventually("an Event", func() bool { return w.event("Suspended", "suspended by ada: launch") })
	if got, live := w.kstatus(w.modelReleases(), "production.iris"); got != status.CurrentStatus {
		t.Errorf("suspended: %s: %v", got, live.Object["status"])
	}
	until := metav1.NewTime(metav1.Now().Add(2e9))
	w.ask(func(s *v1alpha1.ModelReleaseSpec) { s.Suspend.Until = &until })
	w.suspendedIs("False", "") // by itself

	w.promote("v1", "v3") // its simulated pods crash
	w.stands(v1alpha1.Failed, "v3", status.FailedStatus)
	w.git("revert", "--no-edit", "HEAD")
	w.stands(v1alpha1.Healthy, "v1", status.CurrentStatus)
	w.edit("environments/production/environment.yaml", "onFailure: hold", "onFailure: rollback")
	w.commit("roll back what fails")
	w.promote("v1", "v3")
	w.stands(v1alpha1.RolledBack, "v1", status.CurrentStatus)
	w.eventually("told why in an Event", func() bool { return w.event("RolledBack", "exited with code 1") })
	if text := w.run("get", "events.events.k8s.io", "-o", "yaml"); strings.Contains(strings.ReplaceAll(text, "\n", " "), "12 are wanted") {
		t.Errorf("Events tell what the container wrote:\n%s", text)
	}

	// At once after the claim, kubectl waits for what comes of it.
	w.promote("v3", "v2")
	w.eventually("claimed", func() bool { return w.release("production").Spec.Claim.Version == "v2" })
	w.run("wait", "--for=condition=Ready", "modelrelease/production.iris", "--timeout=300s")
	if got := w.status("production"); got.Phase != v1alpha1.Healthy || got.Applied.Version != "v2" {
		t.Errorf("kubectl wait came back at %s of %s", got.Phase, got.Applied.Version)
	}

	w.pin("HEAD~4", "v1")
	w.eventually("pinned", func() bool { s := w.status("production"); return s.Reason == "Pinned" && s.Applied.Version == "v1" })
	w.stands(v1alpha1.Healthy, "v1", status.CurrentStatus)
	w.ask(func(s *v1alpha1.ModelReleaseSpec) { s.Pin = nil })
	w.stands(v1alpha1.Healthy, "v2", status.CurrentStatus)

	w.damage("v1")
	w.promote("v2", "v1")
	w.stands(v1alpha1.Held, "v2", status.CurrentStatus)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2\n  resources: {cpu: 100000}")
	w.commit("no node has that")
	w.stands(v1alpha1.Waiting, "", status.InProgressStatus)
	text := w.run("describe", "modelrelease", "production.iris")
	if !strings.Contains(text, "RolledBack") || strings.Contains(text, "Author:   \n") {
		t.Errorf("kubectl describe:\n%s", text)
	}
}

// condition waits for the condition Suspended.
func (w *world) suspendedIs(is metav1.ConditionStatus, message string) {
	w.t.Helper()
	w.drain("production", "suspended: "+string(is), func(s v1alpha1.ModelReleaseStatus) bool {
		for _, c := range s.Conditions {
			if c.Type == v1alpha1.ConditionSuspended && c.Status == is && c.Message == message {
				return true
			}
		}
		return false
	})
}

var (
	someCommit = regexp.MustCompile(`sha1:[0-9a-f]{12}`)
	someAge    = regexp.MustCompile(`(?m) +(AGE|[0-9]+m?s|[0-9]+m[0-9]+s)$`)
)

// TestTables: kubectl get answers what runs where, by whose commit, and why.
func TestTables(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	namespace := w.id + "-davit"
	w.grantRegistry(namespace)
	defer w.controller(namespace)()
	w.until(production, "v1", v1alpha1.Healthy)
	w.eventually("followed", func() bool {
		return strings.Contains(w.run("get", "modelregistries", "-n", namespace), "sha1:")
	})
	var out strings.Builder
	for _, args := range [][]string{
		{"get", "mr"}, {"get", "modelreleases", "-o", "wide"}, {"get", "mreg", "-n", namespace}, {"get", "modelregistries", "-o", "wide", "-n", namespace},
		{"get", "davit"},
	} {
		text := someCommit.ReplaceAllString(w.run(args...), "sha1:0123456789ab")
		text = someAge.ReplaceAllString(text, "   $1")
		text = regexp.MustCompile(`(?m)   [0-9ms]+$`).ReplaceAllString(text, "   9s")
		text = strings.ReplaceAll(text, w.dir, "DIR")
		text = regexp.MustCompile(`URL +`).ReplaceAllString(text, "URL   ")
		out.WriteString("$ kubectl " + strings.ReplaceAll(strings.Join(args, " "), namespace, "davit") + "\n" + text + "\n")
	}
	if *update {
		if err := os.WriteFile("testdata/kubectl-get.txt", []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/kubectl-get.txt")
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("kubectl get (run with -update):\n%s", &out)
	}
}
