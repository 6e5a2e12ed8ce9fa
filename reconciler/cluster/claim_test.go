package cluster_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

func TestClaimMakesAnApplySetParent(t *testing.T) {
	c, ns := open(t)
	if mr, err := c.Release(t.Context(), ns, "production", "iris"); mr != nil || err != nil {
		t.Fatalf("absent release: %v, %v", mr, err)
	}
	mr := claim(t, c, ns, "c1", objects(t, all))
	want(t, "claimed commit", mr.Spec.Claim.Commit, "c1")
	want(t, "owner", mr.Spec.Owner, owner)
	want(t, "kinds", mr.Annotations["applyset.kubernetes.io/contains-group-kinds"], "ConfigMap,Deployment.apps,Service")
	want(t, "tooling", mr.Annotations["applyset.kubernetes.io/tooling"], "davit/v1")
	if id := mr.Labels["applyset.kubernetes.io/id"]; !strings.HasPrefix(id, "applyset-") || !strings.HasSuffix(id, "-v1") {
		t.Errorf("ID %q", id)
	}
	mr = claim(t, c, ns, "c2", objects(t, config))
	want(t, "second commit", mr.Spec.Claim.Commit, "c2")
	want(t, "kinds are widened only", mr.Annotations["applyset.kubernetes.io/contains-group-kinds"], "ConfigMap,Deployment.apps,Service")
	list, err := c.Releases(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != "production.iris" || list[0].Spec.Claim.Commit != "c2" || list[0].ManagedFields != nil {
		t.Errorf("list %+v, %v", list, err)
	}
}

func TestClaimOfAnotherOwner(t *testing.T) {
	c, ns := open(t)
	claim(t, c, ns, "c1", nil)
	target := cluster.Target{Namespace: ns, Environment: "production", Release: "iris", Commit: "c2"}
	other := reopen(t, ns, func(cfg *cluster.Config) { cfg.Owner = "other" })
	_, err := other.Claim(t.Context(), target)
	var refused *cluster.ErrOtherOwner
	if !errors.As(err, &refused) || refused.Owner != owner {
		t.Fatalf("got %v", err)
	}
	mr, err := c.Release(t.Context(), ns, "production", "iris")
	if err != nil || mr.Spec.Claim.Commit != "c1" {
		t.Fatalf("a refused claim wrote %+v, %v", mr.Spec.Claim, err)
	}
	if err := other.Delete(t.Context(), mr); !errors.As(err, &refused) {
		t.Errorf("another owner's release was deleted: %v", err)
	}
	usurper := reopen(t, ns, func(cfg *cluster.Config) { cfg.Owner, cfg.TakeOver = "other", true })
	if mr, err = usurper.Claim(t.Context(), target); err != nil || mr.Spec.Owner != "other" {
		t.Errorf("taking over: %v", err)
	}
	if _, err := c.Claim(t.Context(), target); !errors.As(err, &refused) {
		t.Errorf("the former owner claimed again: %v", err)
	}
}

func TestClaimIsCompareAndSwap(t *testing.T) {
	c, ns := open(t)
	observed := claim(t, c, ns, "c1", nil)
	target := cluster.Target{Namespace: ns, Environment: "production", Release: "iris", Observed: observed}
	target.Commit = "c2"
	if _, err := c.Claim(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	target.Commit = "c3"
	if _, err := c.Claim(t.Context(), target); !errors.Is(err, cluster.ErrConflict) {
		t.Errorf("a stale claim gave %v", err)
	}
	if mr, err := c.Release(t.Context(), ns, "production", "iris"); err != nil || mr.Spec.Claim.Commit != "c2" {
		t.Errorf("claimed %v, %v", mr.Spec.Claim, err)
	}
}

func TestStatusRoundTrip(t *testing.T) {
	c, ns := open(t)
	mr := claim(t, c, ns, "c1", nil)
	at := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	revision := v1alpha1.Revision{Commit: "c1", Version: "v1", Image: "r/i@sha256:00", ObjectsHash: "h", InputKey: "k", Time: at}
	mr.Status.Applied, mr.Status.Healthy = revision, revision
	mr.Status.Held = &v1alpha1.HeldRevision{Commit: "c0", Version: "v0", ObjectsHash: "g", Reason: "CrashLoop", Time: at}
	mr.Status.Phase, mr.Status.Reason, mr.Status.Message = v1alpha1.RolledBack, "CrashLoop", "it crashed"
	mr.Status.Inventory = []v1alpha1.ObjectRef{{Group: "apps", Version: "v1", Kind: "Deployment", Name: "iris", UID: "u", Hash: "h", Fields: "f", Generation: 3, Stale: true}}
	mr.Status.Outcomes = []v1alpha1.Outcome{{Commit: "c1", Version: "v1", Image: "i", Outcome: v1alpha1.Superseded, Reason: "r", From: "v0", At: at}}
	mr.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Healthy", Message: "m", LastTransitionTime: at, ObservedGeneration: 1}}
	mr.Status.ObservedGeneration = 1
	written, err := c.WriteStatus(t.Context(), mr)
	if err != nil {
		t.Fatal(err)
	}
	read, err := c.Release(t.Context(), ns, "production", "iris")
	if err != nil {
		t.Fatal(err)
	}
	for what, got := range map[string]*v1alpha1.ModelRelease{"written": written, "read": read} {
		want(t, what, text(t, got.Status), text(t, mr.Status))
	}
	if _, err := c.WriteStatus(t.Context(), mr); !errors.Is(err, cluster.ErrConflict) {
		t.Errorf("a stale status gave %v", err)
	}
	c.Event(t.Context(), written, "Warning", "CrashLoop", strings.Repeat("é", 600))
	events, err := client.EventsV1().Events(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(events.Items) != 1 || events.Items[0].Regarding.Name != "production.iris" {
		t.Errorf("events %+v, %v", events, err)
	}
}
