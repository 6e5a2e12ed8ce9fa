package reconciler_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// ail has a running pod of production/iris with that image say that its container waits, after so many restarts.
func (w *world) ail(image string, restarts int32, waiting corev1.ContainerStateWaiting) {
	w.t.Helper()
	w.ailing(cluster.LabelRelease+"=iris", image, restarts, waiting)
}

// ailing is ail for a pod with a label; any image will do when it is empty.
func (w *world) ailing(label, image string, restarts int32, waiting corev1.ContainerStateWaiting) {
	w.t.Helper()
	pods := w.kubectl().CoreV1().Pods(w.namespace("production"))
	w.eventually("a running pod of "+image, func() bool {
		list, err := pods.List(w.t.Context(), metav1.ListOptions{LabelSelector: label})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, pod := range list.Items {
			if pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning || image != "" && pod.Spec.Containers[0].Image != image {
				continue
			}
			status := map[string]any{"status": corev1.PodStatus{
				Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}, {Type: corev1.ContainersReady, Status: corev1.ConditionFalse}},
				ContainerStatuses: []corev1.ContainerStatus{{
					Name: pod.Spec.Containers[0].Name, Image: image, RestartCount: restarts, State: corev1.ContainerState{Waiting: &waiting},
				}},
			}}
			body, err := json.Marshal(status)
			if err != nil {
				w.t.Fatal(err)
			}
			if _, err := pods.Patch(w.t.Context(), pod.Name, types.StrategicMergePatchType, body, metav1.PatchOptions{}, "status"); err != nil {
				w.t.Fatal(err)
			}
			return true
		}
		return false
	})
}

// TestAHealthyReleaseThatBreaks waits, whatever its pods say: what was healthy once did not break by its revision.
func TestAHealthyReleaseThatBreaks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("promote v2")
	w.until(production, "v2", v1alpha1.Healthy)
	before := w.status("production")
	image := w.deployment("iris").Spec.Template.Spec.Containers[0].Image

	began := time.Now()
	w.ail(image, 2, corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"})
	r := w.any(v1alpha1.Waiting, v1alpha1.Failed, v1alpha1.RolledBack)
	if r.Phase != v1alpha1.Waiting || r.Reason != cluster.ReasonCrash {
		t.Fatalf("a healthy release whose pods crash is %s (%s)", r.Phase, r.Reason)
	}
	if took := time.Since(began); took < 10*time.Second {
		t.Errorf("said after %s, which a moved pod takes too", took)
	}
	// It is looked at again and again, and never for its revision's fault.
	w.ail(image, 6, corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"})
	w.drain("production", "looked at again", func(s v1alpha1.ModelReleaseStatus) bool { return strings.Contains(s.Message, "7 times") })
	w.ail(image, 0, corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: image + ": not found"})
	got := w.drain("production", "without its image", func(s v1alpha1.ModelReleaseStatus) bool { return s.Reason == cluster.ReasonImageNotFound })
	if got.Phase != v1alpha1.Waiting || got.Held != nil || got.Applied != before.Applied || len(got.Outcomes) != len(before.Outcomes) {
		t.Errorf("a healthy release whose image went away: %+v", got)
	}
	pods := w.kubectl().CoreV1().Pods(w.namespace("production"))
	if err := pods.DeleteCollection(t.Context(), deleteNow, metav1.ListOptions{LabelSelector: cluster.LabelRelease + "=iris"}); err != nil {
		t.Fatal(err)
	}
	w.until(production, "v2", v1alpha1.Healthy)
}

// TestNoRoomIsWaiting: that no node has what a revision asks for may change any time, so it is waited for.
func TestNoRoomIsWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2\n  resources: {cpu: 100000}")
	w.commit("promote v2, which asks for a great deal")
	got := w.drain("production", "waiting for a node", func(s v1alpha1.ModelReleaseStatus) bool { return s.Reason == "Unschedulable" })
	if got.Phase != v1alpha1.Waiting || got.Held != nil || got.Applied.Version != "v2" || len(got.Outcomes) != 1 {
		t.Fatalf("status %+v", got)
	}
	w.edit("releases/iris/production.yaml", "cpu: 100000", "cpu: 60m")
	w.commit("a little less")
	w.until(production, "v2", v1alpha1.Healthy)
}

// interrupted makes w's cluster call before, once, ahead of the next status write of production/iris after it is armed.
func (w *world) interrupted(before func()) (arm func()) {
	w.t.Helper()
	var armed atomic.Bool
	config := restConfig(w.t)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/"+w.namespace("production")+"/modelreleases/production.iris/status") && armed.CompareAndSwap(true, false) {
				before()
			}
			return next.RoundTrip(r)
		})
	})
	var err error
	if w.cluster, err = cluster.New(w.t.Context(), cluster.Config{REST: config, Owner: w.id}); err != nil {
		w.t.Fatal(err)
	}
	return func() { armed.Store(true) }
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// another claims production/iris, as a second controller of the same registry would, for a commit that is not here.
func (w *world) another(namespace string) {
	other, err := cluster.New(w.t.Context(), cluster.Config{REST: restConfig(w.t), Owner: w.id, Holder: "another"})
	if err != nil {
		w.t.Error(err)
		return
	}
	if _, err := other.Claim(w.t.Context(), cluster.Target{Namespace: namespace, Environment: "production", Release: "iris", Commit: strings.Repeat("c", 40)}); err != nil {
		w.t.Error(err)
	}
}

// TestAStatusOfThePastIsNotWritten: what a controller found out is dropped when another one has claimed the release.
func TestAStatusOfThePastIsNotWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	arm := w.interrupted(func() { w.another(w.namespace("production")) })
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	arm()
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("promote v2")
	got := w.drain("production", "given up", func(s v1alpha1.ModelReleaseStatus) bool { return s.Reason == "HistoryRewritten" })
	if got.Healthy.Version != "v1" || len(got.Outcomes) != 1 {
		t.Errorf("written over another's claim: %+v", got)
	}
	if holder := w.release("production").Spec.Claim.Holder; holder != "another" {
		t.Errorf("claimed by %s", holder)
	}
}
