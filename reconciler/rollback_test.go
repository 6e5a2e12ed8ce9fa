package reconciler_test

import (
	"context"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestCrashRollsBack promotes a version whose pods crash: the release goes back to its last healthy revision
// with the digest of before, stays there through other commits, and takes the next change of its own files.
func TestCrashRollsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.follow()
	first := w.until(production, "v1", v1alpha1.Healthy)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3")
	w.commit("promote the damaged v3")
	bad := w.git("rev-parse", "HEAD")
	failed := w.until(production, "v3", v1alpha1.Failed)
	if !strings.Contains(failed.Message, "exited with code 1") {
		t.Errorf("the reason does not say what happened: %q", failed.Message)
	}
	w.until(production, "v1", v1alpha1.RolledBack)
	got := w.status("production")
	if got.Held == nil || got.Held.Commit != bad || got.Applied.Image != first.Image || got.Applied.Commit != first.Commit {
		t.Errorf("after the rollback: %+v", got)
	}
	if len(got.Outcomes) < 3 || got.Outcomes[0].Outcome != v1alpha1.RolledBack || got.Outcomes[1].Outcome != v1alpha1.Failed {
		t.Errorf("outcomes: %+v", got.Outcomes)
	}

	// A restart and another release's promotion leave the hold as it is.
	stop()
	w.follow()
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v2")
	w.commit("promote v2 to staging")
	w.until(staging, "v2", v1alpha1.Healthy)
	if got := w.status("production"); got.Held == nil || got.Applied.Version != "v1" || got.Phase != v1alpha1.RolledBack {
		t.Errorf("the hold did not last: %+v", got)
	}
	w.edit("releases/iris/production.yaml", "version: v3", "version: v2")
	w.commit("promote v2 to production")
	w.until(production, "v2", v1alpha1.Healthy)
	if got := w.status("production"); got.Held != nil || got.Applied.Version != "v2" {
		t.Errorf("after the next promotion: %+v", got)
	}
}

// TestARollbackIsNotRolledBack: when the last healthy revision fails too, the release stays Failed, and what failed
// first stays held, also when a file changes that it shares with others.
func TestARollbackIsNotRolledBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.deny("v1")
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3") // its simulated pods crash
	w.commit("promote the damaged v3")
	bad := w.git("rev-parse", "HEAD")
	failed := func(s v1alpha1.ModelReleaseStatus) bool {
		return s.Phase == v1alpha1.Failed && s.Reason == "RollbackFailed" && s.Held != nil && s.Held.Commit == bad
	}
	got := w.drain("production", "stopped", failed)
	token := w.release("production").Spec.Claim.Token
	if got.Applied.Version != "v3" || !strings.Contains(got.Message, "not wanted any more") {
		t.Errorf("after the rollback failed: %+v", got)
	}
	w.edit("runtimes/iris-server/0.1.0/deployment.yaml", "terminationGracePeriodSeconds: 10", "terminationGracePeriodSeconds: 11")
	w.commit("a shared change")
	head := w.git("rev-parse", "HEAD")
	w.eventually("staging healthy at the shared change", func() bool { return w.status("staging").Healthy.Commit == head })
	if after := w.status("production"); !failed(after) || len(after.Outcomes) != len(got.Outcomes) {
		t.Errorf("it did not stay: %+v", after)
	}
	if n := w.release("production").Spec.Claim.Token - token; n > 1 {
		t.Errorf("%d more tries with one more commit", n)
	}
}

// deny has the API server refuse production's Deployments of a version from now on.
func (w *world) deny(version string) {
	w.t.Helper()
	ctx, client := w.t.Context(), w.kubectl()
	policies, bindings := client.AdmissionregistrationV1().ValidatingAdmissionPolicies(), client.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: w.id},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": w.namespace("production")}},
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Update},
					Rule:       admissionv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}},
				}}},
			},
			Validations: []admissionv1.Validation{{
				Expression: `object.spec.template.metadata.labels["davit.dev/version"] != "` + version + `"`, Message: version + " is not wanted any more",
			}},
		},
	}
	if _, err := policies.Create(ctx, policy, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: w.id},
		Spec:       admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: w.id, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}},
	}
	if _, err := bindings.Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = bindings.Delete(context.Background(), w.id, deleteNow)
		_ = policies.Delete(context.Background(), w.id, deleteNow)
	})
	w.eventually("denied", func() bool {
		_, err := client.AppsV1().Deployments(w.namespace("production")).Patch(ctx, "iris", types.MergePatchType,
			[]byte(`{"metadata":{"annotations":{"a":"b"}}}`), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil && strings.Contains(err.Error(), "not wanted any more")
	})
}

// TestFirstRevisionThatFailsStays has nothing to go back to.
func TestFirstRevisionThatFailsStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3")
	w.commit("start with the damaged v3")
	if err := w.reconciler().Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.status("production"); got.Phase != v1alpha1.Failed || got.Held == nil || got.Healthy.Commit != "" {
		t.Errorf("status %+v", got)
	}
	if got := w.status("staging"); got.Phase != v1alpha1.Healthy {
		t.Errorf("staging was held up: %+v", got)
	}
	if err := w.reconciler().Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.serves() != "v3" || failures(w.status("production")) != 1 {
		t.Errorf("it was not left as it is: %s, %+v", w.serves(), w.status("production"))
	}
}

// TestBrokenTipDuringRollout: a slip of the pen on top of a crashing version does not keep it from going back.
func TestBrokenTipDuringRollout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	stop()
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3")
	w.commit("promote the damaged v3")
	w.follow()
	w.until(production, "v3", v1alpha1.Progressing)
	w.edit("releases/iris/production.yaml", "version: v3", "verison: v3")
	w.commit("a slip of the pen")
	w.until(production, "v1", v1alpha1.RolledBack)
}

// TestRevertOnTheWayBack: a revert that is merged before the way back has ended has an outcome of its own.
func TestRevertOnTheWayBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.edit("environments/production/environment.yaml", "bake: 100ms", "bake: 15s")
	w.commit("a longer bake")
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3")
	w.commit("promote the damaged v3")
	w.until(production, "v3", v1alpha1.Failed)
	w.until(production, "v1", v1alpha1.Progressing)
	w.git("revert", "--no-edit", "HEAD")
	w.until(production, "v1", v1alpha1.Healthy)
	got := w.status("production")
	if o := got.Outcomes; len(o) < 2 || o[0].Outcome != v1alpha1.Healthy || o[0].Commit != w.git("rev-parse", "HEAD") || o[1].Outcome != v1alpha1.Failed || got.Held != nil {
		t.Errorf("of the revert %.12s came %+v", w.git("rev-parse", "HEAD"), got)
	}
}

// TestHoldPolicy: where the environment says so, a revision that failed stays for people to look at.
func TestHoldPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.edit("environments/production/environment.yaml", "onFailure: rollback", "onFailure: hold")
	w.commit("no rollbacks")
	stop := w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3") // its simulated pods crash
	w.commit("promote the damaged v3")
	w.until(production, "v3", v1alpha1.Failed)
	stop()
	stays := func(when string) {
		t.Helper()
		if err := w.reconciler().Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := w.status("production")
		if got.Phase != v1alpha1.Failed || got.Applied.Version != "v3" || got.Held == nil || got.Held.Version != "v3" || got.Healthy.Version != "v1" {
			t.Errorf("%s it did not stay: %+v", when, got)
		}
		if version := w.deployment("iris").Spec.Template.Labels["davit.dev/version"]; version != "v3" {
			t.Errorf("%s the pods are of %s", when, version)
		}
	}
	stays("after a restart")
	w.edit("releases/iris/production.yaml", "version: v3", "verison: v3")
	w.commit("a slip of the pen")
	stays("after a slip of the pen")
}

// TestTroubleWithApplyingPasses: what is in the way of an apply, and is not the revision's fault, is waited for, and
// nothing is held.
func TestTroubleWithApplyingPasses(t *testing.T) {
	t.Parallel()
	const runtime = "runtimes/iris-server/0.1.0/"
	adds := func(w *world, object string) {
		w.write(runtime+"more.yaml", object)
		w.edit(runtime+"kustomization.yaml", "  - service.yaml\n", "  - service.yaml\n  - more.yaml\n")
	}
	const settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"
	const job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: prepare}\nspec:\n  suspend: true\n" +
		"  template: {spec: {restartPolicy: Never, containers: [{name: prepare, image: \"example.com/prepare:1\"}]}}\n"
	for name, c := range map[string]struct {
		before, change func(w *world)
		pass           func(w *world)
	}{
		"Conflict": {
			before: func(w *world) {
				w.until(production, "v1", v1alpha1.Healthy)
				foreign := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "iris-settings"}}
				if _, err := w.kubectl().CoreV1().ConfigMaps(w.namespace("production")).Create(w.t.Context(), foreign, metav1.CreateOptions{}); err != nil {
					w.t.Fatal(err)
				}
			},
			change: func(w *world) { adds(w, settings) },
			pass: func(w *world) {
				if err := w.kubectl().CoreV1().ConfigMaps(w.namespace("production")).Delete(w.t.Context(), "iris-settings", deleteNow); err != nil {
					w.t.Fatal(err)
				}
				w.ask(func(s *v1alpha1.ModelReleaseSpec) {
					s.Request = &v1alpha1.Request{Action: v1alpha1.Retry, At: metav1.NowMicro(), By: "ada"}
				})
			},
		},
		"Busy": {
			before: func(w *world) {
				w.until(production, "v1", v1alpha1.Healthy)
				adds(w, job)
				w.edit("releases/iris/serving.yaml", "startupTimeout: 60s", "startupTimeout: 60s, onImmutable: recreate")
				w.commit("a job that does not end")
				w.drain("production", "waiting for the job", func(s v1alpha1.ModelReleaseStatus) bool { return s.Reason == "Suspended" })
			},
			change: func(w *world) { w.edit(runtime+"more.yaml", "prepare:1", "prepare:2") },
			pass: func(w *world) {
				w.edit(runtime+"kustomization.yaml", "  - more.yaml\n", "")
				w.commit("no job any more")
			},
		},
		"ApplyFailed": {
			before: func(w *world) { w.until(production, "v1", v1alpha1.Healthy); w.unanswered(true) },
			change: func(w *world) { adds(w, settings) },
			pass:   func(w *world) { w.unanswered(false) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.follow()
			c.before(w)
			c.change(w)
			w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
			w.commit("promote v2")
			got := w.drain("production", "in trouble", func(s v1alpha1.ModelReleaseStatus) bool { return s.Reason == name })
			if got.Phase != v1alpha1.Waiting || got.Held != nil {
				t.Fatalf("status %+v", got)
			}
			for _, o := range got.Outcomes {
				if o.Outcome == v1alpha1.Failed {
					t.Errorf("outcome %+v", o)
				}
			}
			c.pass(w)
			w.until(production, "v2", v1alpha1.Healthy)
		})
	}
}

// unanswered has the API server ask, of production's ConfigMaps, a webhook that nobody answers.
func (w *world) unanswered(on bool) {
	w.t.Helper()
	ctx, webhooks := w.t.Context(), w.kubectl().AdmissionregistrationV1().ValidatingWebhookConfigurations()
	maps := w.kubectl().CoreV1().ConfigMaps(w.namespace("production"))
	if !on {
		if err := webhooks.Delete(ctx, w.id, deleteNow); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	address, none := "https://127.0.0.1:1/", admissionv1.SideEffectClassNone
	hook := &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: w.id},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name: "nobody.example.com", ClientConfig: admissionv1.WebhookClientConfig{URL: &address},
			SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": w.namespace("production")}},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
			}},
		}},
	}
	if _, err := webhooks.Create(ctx, hook, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = webhooks.Delete(context.Background(), w.id, deleteNow) })
	w.eventually("unanswered", func() bool {
		probe := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "probe"}}
		_, err := maps.Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil
	})
}

// TestRegistryOutOfReach: an OCI registry that does not answer says nothing of a revision.
func TestRegistryOutOfReach(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.edit("davit.yaml", dev.Registry, "127.0.0.1:1")
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("promote v2, from another OCI registry")
	got := w.drain("production", "waiting for the OCI registry", func(s v1alpha1.ModelReleaseStatus) bool { return s.Reason == "ImageRegistry" })
	if got.Phase != v1alpha1.Waiting || got.Held != nil || got.Applied.Version != "v1" || len(got.Outcomes) != 1 {
		t.Fatalf("status %+v", got)
	}
	w.edit("davit.yaml", "127.0.0.1:1", dev.Registry)
	w.commit("back at the one that answers")
	w.until(production, "v2", v1alpha1.Healthy)
}

// TestMissingImageIsLookedFor: a node that says an image is not there is believed when the OCI registry says so too.
func TestMissingImageIsLookedFor(t *testing.T) {
	t.Parallel()
	none := "@sha256:" + strings.Repeat("0", 64)
	for name, c := range map[string]struct {
		image  func(there string) string
		phase  v1alpha1.Phase
		reason string
	}{
		"there":        {func(there string) string { return there }, v1alpha1.Waiting, "ImagePull"},
		"out-of-reach": {func(string) string { return "127.0.0.1:1/iris-server" + none }, v1alpha1.Waiting, "ImageRegistry"},
		"not-there":    {func(string) string { return dev.Registry + "/iris-server" + none }, v1alpha1.Failed, cluster.ReasonImageNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.follow()
			image := c.image(w.until(production, "v1", v1alpha1.Healthy).Image)
			for _, file := range []string{"deployment.yaml", "runtime.yaml"} {
				w.edit("runtimes/iris-server/0.1.0/"+file, "127.0.0.1:5000/iris-server"+none, image)
			}
			w.edit("environments/production/environment.yaml", "bake: 100ms", "bake: 1m")
			w.commit("another image of the runtime")
			w.until(production, "v1", v1alpha1.Progressing)
			w.ail(image, 0, corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: image + ": not found"})
			if r := w.any(v1alpha1.Waiting, v1alpha1.Failed); r.Key.String() != production || r.Phase != c.phase || r.Reason != c.reason {
				t.Errorf("got %+v, want %s %s", r, c.phase, c.reason)
			}
		})
	}
}
