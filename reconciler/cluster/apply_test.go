package cluster_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// versions are the resourceVersions of what deploy applied.
func versions(t *testing.T, ns string) string {
	t.Helper()
	cm, err := client.CoreV1().ConfigMaps(ns).Get(t.Context(), "iris", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	svc, err := client.CoreV1().Services(ns).Get(t.Context(), "iris", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := client.AppsV1().Deployments(ns).Get(t.Context(), "iris", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(cm.ResourceVersion, svc.ResourceVersion, d.Generation)
}

func TestApply(t *testing.T) {
	c, ns := open(t)
	mr, set := deploy(t, c, ns, "c1", all)
	want(t, "first apply", actions(set), "created ConfigMap/iris, created Deployment.apps/iris, created Service/iris")
	d, err := client.AppsV1().Deployments(ns).Get(t.Context(), "iris", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "part-of", d.Labels["applyset.kubernetes.io/part-of"], mr.Labels["applyset.kubernetes.io/id"])
	for _, ref := range mr.Status.Inventory {
		if ref.Kind == "Deployment" && (ref.UID != d.UID || ref.Generation != d.Generation || ref.Hash == "" || ref.Fields == "") {
			t.Errorf("inventory has %+v", ref)
		}
	}

	before := versions(t, ns)
	_, set = deploy(t, c, ns, "c2", all)
	want(t, "the same again", actions(set), "unchanged ConfigMap/iris, unchanged Deployment.apps/iris, unchanged Service/iris")
	want(t, "versions", versions(t, ns), before)

	_, set = deploy(t, c, ns, "c3", strings.Replace(all, `a: "1"`, `a: "2"`, 1))
	want(t, "one changed", actions(set), "configured ConfigMap/iris, unchanged Deployment.apps/iris, unchanged Service/iris")

	drift := []byte(`{"spec":{"template":{"spec":{"containers":[{"name":"server","image":"drifted"}]}}}}`)
	if _, err := client.AppsV1().Deployments(ns).Patch(t.Context(), "iris", types.StrategicMergePatchType, drift, metav1.PatchOptions{FieldManager: "someone"}); err != nil {
		t.Fatal(err)
	}
	if err := client.CoreV1().ConfigMaps(ns).Delete(t.Context(), "iris", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	mr, set = deploy(t, c, ns, "c4", strings.Replace(all, `a: "1"`, `a: "2"`, 1))
	want(t, "drifted and deleted", actions(set), "created ConfigMap/iris, configured Deployment.apps/iris, unchanged Service/iris")
	if d, err = client.AppsV1().Deployments(ns).Get(t.Context(), "iris", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	want(t, "image", d.Spec.Template.Spec.Containers[0].Image, "registry.example.com/server:1")
	_ = mr
}

func TestRefused(t *testing.T) {
	c, ns := open(t)
	mr := claim(t, c, ns, "c1", nil)
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "q"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/secrets": resource.MustParse("0")}}}
	if _, err := client.CoreV1().ResourceQuotas(ns).Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	powerless := reopen(t, ns, func(cfg *cluster.Config) {
		cfg.REST = restCopy()
		cfg.REST.Impersonate.UserName = "nobody"
	})
	const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}"
	for _, test := range []struct {
		name, text string
		by         *cluster.Cluster
		refused    bool
		message    string
	}{
		{"invalid", strings.Replace(deployment, "matchLabels: {davit.dev/release: iris}", "matchLabels: {a: b}", 1), c, true, "selector"},
		{"unknown field", strings.Replace(deployment, "replicas: 2", "replicos: 2", 1), c, true, "replicos"},
		{"wrong type", strings.Replace(deployment, "replicas: 2", "replicas: two", 1), c, true, "replicas"},
		{"cluster-wide", "apiVersion: v1\nkind: Namespace\nmetadata: {name: other}", c, true, "cluster-wide"},
		{"another namespace", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: other}", c, true, "namespace other"},
		{"no rights", config, powerless, false, "cannot patch"},
		{"no such kind", "apiVersion: example.com/v1\nkind: Nothing\nmetadata: {name: a}", c, false, "no matches for kind"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.by.Apply(t.Context(), mr, objects(t, test.text), cluster.ApplyOptions{})
			var refused *cluster.RefusedError
			if err == nil || errors.As(err, &refused) != test.refused || !strings.Contains(err.Error(), test.message) {
				t.Errorf("refused %v: %v", refused != nil, err)
			}
		})
	}
	t.Run("quota", func(t *testing.T) {
		// The quota controller has to have counted once.
		eventually(t, func() error {
			q, err := client.CoreV1().ResourceQuotas(ns).Get(t.Context(), "q", metav1.GetOptions{})
			if err == nil && len(q.Status.Hard) == 0 {
				err = errors.New("quota not counted")
			}
			return err
		})
		_, err := c.Apply(t.Context(), mr, objects(t, secret), cluster.ApplyOptions{})
		var refused *cluster.RefusedError
		if err == nil || errors.As(err, &refused) || !strings.Contains(err.Error(), "exceeded quota") {
			t.Errorf("refused %v: %v", refused != nil, err)
		}
	})
}

func TestApplyStopsAfterAFaultyStage(t *testing.T) {
	c, ns := open(t)
	broken := objects(t, strings.Replace(all, "matchLabels: {davit.dev/release: iris}", "matchLabels: {a: b}", 1))
	mr := claim(t, c, ns, "c1", broken)
	set, err := c.Apply(t.Context(), mr, broken, cluster.ApplyOptions{})
	var refused *cluster.RefusedError
	if !errors.As(err, &refused) || refused.Ref.Kind != "Deployment" {
		t.Fatalf("got %v", err)
	}
	want(t, "done", actions(set), "created ConfigMap/iris")
	if len(set.Inventory) != 1 {
		t.Errorf("inventory %v", set.Inventory)
	}
}

func TestReplicasAreHandedOver(t *testing.T) {
	c, ns := open(t)
	deploy(t, c, ns, "c1", strings.Replace(deployment, "replicas: 2", "replicas: 3", 1))
	deploy(t, c, ns, "c2", strings.Replace(deployment, "  replicas: 2\n", "", 1))
	d, err := client.AppsV1().Deployments(ns).Get(t.Context(), "iris", metav1.GetOptions{})
	if err != nil || *d.Spec.Replicas != 3 {
		t.Fatalf("%d replicas after giving the field up, %v", *d.Spec.Replicas, err)
	}
	_, set := deploy(t, c, ns, "c3", strings.Replace(deployment, "  replicas: 2\n", "", 1))
	want(t, "again", actions(set), "unchanged Deployment.apps/iris")
	deploy(t, c, ns, "c4", deployment)
	if d, err = client.AppsV1().Deployments(ns).Get(t.Context(), "iris", metav1.GetOptions{}); err != nil || *d.Spec.Replicas != 2 {
		t.Errorf("%d replicas after taking the field back, %v", *d.Spec.Replicas, err)
	}
}

func TestPlanWritesNothing(t *testing.T) {
	c, ns := open(t)
	mr := &v1alpha1.ModelRelease{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "production.iris"}}
	set, err := c.Plan(t.Context(), mr, objects(t, all), cluster.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "new release", actions(set), "created ConfigMap/iris, created Deployment.apps/iris, created Service/iris")
	if list, err := client.CoreV1().ConfigMaps(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "davit.dev/release"}); err != nil || len(list.Items) != 0 {
		t.Fatalf("planned objects exist: %v, %v", list, err)
	}
	mr, _ = deploy(t, c, ns, "c1", all)
	before := versions(t, ns)
	set, err = c.Plan(t.Context(), mr, objects(t, strings.Replace(deployment, "replicas: 2", "replicas: 3", 1)+"\n---\n"+service), cluster.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "a change", actions(set), "configured Deployment.apps/iris, unchanged Service/iris, deleted ConfigMap/iris")
	if fields := set.Changes[0].Fields; len(fields) != 1 || fields[0].Path != ".spec.replicas" || fields[0].Live != "2" || fields[0].Wanted != "3" {
		t.Errorf("planned fields: %+v", fields)
	}
	want(t, "versions", versions(t, ns), before)
}

// TestPlanTellsOfObjectsOfOthers: a plan says what an apply would refuse.
func TestPlanTellsOfObjectsOfOthers(t *testing.T) {
	c, ns := open(t)
	foreign(t, ns, "argocd-controller", helmConfig, true)
	mr := &v1alpha1.ModelRelease{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "production.iris"}}
	_, err := c.Plan(t.Context(), mr, objects(t, config), cluster.ApplyOptions{})
	var conflict *cluster.ConflictError
	if !errors.As(err, &conflict) || !conflict.Adoptable || !strings.Contains(err.Error(), "ConfigMap/iris is managed by argocd-controller") {
		t.Errorf("got %v", err)
	}
	set, err := reopen(t, ns, func(cfg *cluster.Config) { cfg.Adopt = true }).Plan(t.Context(), mr, objects(t, config), cluster.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "adopting", actions(set), "configured ConfigMap/iris")
}
