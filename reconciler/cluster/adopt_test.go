package cluster_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/davit-dev/davit/reconciler/cluster"
)

func dynamicClient(t *testing.T, group, version, name, ns string) dynamic.ResourceInterface {
	t.Helper()
	d, err := dynamic.NewForConfig(restConfig)
	if err != nil {
		t.Fatal(err)
	}
	return d.Resource(schema.GroupVersionResource{Group: group, Version: version, Resource: name}).Namespace(ns)
}

// foreign creates an object as another tool does: client-side, or server-side when apply is set.
func foreign(t *testing.T, ns, manager, text string, apply bool) {
	t.Helper()
	o := objects(t, text)[0]
	maps := dynamicClient(t, "", "v1", "configmaps", ns)
	if o.GetKind() == "Deployment" {
		maps = dynamicClient(t, "apps", "v1", "deployments", ns)
	}
	var err error
	if apply {
		_, err = maps.Apply(t.Context(), o.GetName(), o, metav1.ApplyOptions{FieldManager: manager, Force: true})
	} else {
		_, err = maps.Create(t.Context(), o, metav1.CreateOptions{FieldManager: manager})
	}
	if err != nil {
		t.Fatal(err)
	}
}

const helmConfig = `apiVersion: v1
kind: ConfigMap
metadata:
  name: iris
  labels: {app.kubernetes.io/managed-by: Helm, helm.sh/chart: iris-1, team: a}
  annotations: {meta.helm.sh/release-name: iris, kubectl.kubernetes.io/last-applied-configuration: "{}"}
data: {a: "0", old: "x"}`

func TestAnObjectOfOthersIsNotTakenOver(t *testing.T) {
	c, ns := open(t)
	mr := claim(t, c, ns, "c1", objects(t, config))
	foreign(t, ns, "argocd-controller", helmConfig, true)
	_, err := c.Apply(t.Context(), mr, objects(t, config), cluster.ApplyOptions{})
	var conflict *cluster.ConflictError
	var refused *cluster.RefusedError
	if !errors.As(err, &conflict) || errors.As(err, &refused) || !conflict.Adoptable {
		t.Fatalf("got %v", err)
	}
	want(t, "conflict", fmt.Sprint(conflict, conflict.Managers, conflict.Fields),
		"ConfigMap/iris is managed by argocd-controller; davit sync --adopt takes it over [argocd-controller] [.data.a]")
	cm, err := client.CoreV1().ConfigMaps(ns).Get(t.Context(), "iris", metav1.GetOptions{})
	if err != nil || cm.Data["a"] != "0" || len(cm.ManagedFields) != 1 {
		t.Errorf("written: %v, %v", cm, err)
	}

	// What another release holds is not taken with Adopt either.
	adopting := reopen(t, ns, func(cfg *cluster.Config) { cfg.Adopt = true })
	mine := []byte(`{"metadata":{"labels":{"applyset.kubernetes.io/part-of":"applyset-other-v1"}}}`)
	if _, err := client.CoreV1().ConfigMaps(ns).Patch(t.Context(), "iris", types.MergePatchType, mine, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = adopting.Apply(t.Context(), mr, objects(t, config), cluster.ApplyOptions{})
	if !errors.As(err, &conflict) || conflict.Adoptable || !strings.Contains(err.Error(), "belongs to another release") {
		t.Errorf("another release's: %v", err)
	}
}

// TestAnUndisputedObjectOfOthersIsNotWritten: others' object may have just the fields davit would send; asking whether it
// does leaves no trace.
func TestAnUndisputedObjectOfOthersIsNotWritten(t *testing.T) {
	c, ns := open(t)
	mr := claim(t, c, ns, "c1", objects(t, config))
	foreign(t, ns, "argocd-controller", config, true)
	maps := client.CoreV1().ConfigMaps(ns)
	before, err := maps.Get(t.Context(), "iris", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Apply(t.Context(), mr, objects(t, config), cluster.ApplyOptions{})
	var conflict *cluster.ConflictError
	if !errors.As(err, &conflict) || !conflict.Adoptable || len(conflict.Fields) > 0 {
		t.Errorf("got %v", err)
	}
	if after, err := maps.Get(t.Context(), "iris", metav1.GetOptions{}); err != nil || after.ResourceVersion != before.ResourceVersion {
		t.Errorf("written: %v, %v", after, err)
	}
}

// TestAnObjectOfAControllerIsNotAdopted: the controller would undo what davit writes, and delete the object with its owner.
func TestAnObjectOfAControllerIsNotAdopted(t *testing.T) {
	c, ns := open(t, func(cfg *cluster.Config) { cfg.Adopt = true })
	mr := claim(t, c, ns, "c1", objects(t, config))
	maps := client.CoreV1().ConfigMaps(ns)
	parent, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "parent"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	child := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "iris", OwnerReferences: []metav1.OwnerReference{
		*metav1.NewControllerRef(parent, corev1.SchemeGroupVersion.WithKind("ConfigMap")),
	}}}
	before, err := maps.Create(t.Context(), child, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Apply(t.Context(), mr, objects(t, config), cluster.ApplyOptions{})
	var conflict *cluster.ConflictError
	if !errors.As(err, &conflict) || conflict.Adoptable || !strings.Contains(err.Error(), "is controlled by ConfigMap parent") {
		t.Errorf("got %v", err)
	}
	if after, err := maps.Get(t.Context(), "iris", metav1.GetOptions{}); err != nil || after.ResourceVersion != before.ResourceVersion {
		t.Errorf("written: %v, %v", after, err)
	}
}

func TestAdopt(t *testing.T) {
	for _, test := range []struct {
		name, manager string
		apply         bool
	}{
		{"client-side apply", "kubectl-client-side-apply", false},
		{"helm 3", "helm", false},
		{"argo", "argocd-controller", true},
		{"flux", "kustomize-controller", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, ns := open(t, func(cfg *cluster.Config) { cfg.Adopt = true })
			foreign(t, ns, test.manager, helmConfig, test.apply)
			edit(t, ns, "ConfigMap", `{"metadata":{"annotations":{"argocd.argoproj.io/tracking-id":"a"}},"data":{"note":"by hand"}}`)
			mr := claim(t, c, ns, "c1", objects(t, config))
			set, err := c.Apply(t.Context(), mr, objects(t, config), cluster.ApplyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			want(t, "adopted", actions(set), "configured ConfigMap/iris")
			cm, err := client.CoreV1().ConfigMaps(ns).Get(t.Context(), "iris", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			want(t, "data", fmt.Sprint(cm.Data), "map[a:1 note:by hand]")
			delete(cm.Labels, "applyset.kubernetes.io/part-of")
			want(t, "labels", fmt.Sprint(cm.Labels, len(cm.Annotations)), "map[davit.dev/release:iris] 0")
			for _, e := range cm.ManagedFields {
				if e.Manager == test.manager {
					t.Errorf("%s still owns %s", e.Manager, e.FieldsV1)
				}
			}
		})
	}
}

// TestPlanOfAnAdoption: what an adoption would change is told without one, and is what it changes.
func TestPlanOfAnAdoption(t *testing.T) {
	theirs := strings.NewReplacer("replicas: 2", "replicas: 3\n  minReadySeconds: 5", "{davit.dev/release: iris}}\nspec:", "{team: a, davit.dev/release: iris}}\nspec:",
		"server:1\"", "server:0\", imagePullPolicy: Always, args: [\"-v\"], env: [{name: A, value: a}], ports: [{containerPort: 80}]}, {name: side, image: \"registry.example.com/side:1\"")
	for _, manager := range []string{"argocd-controller", "kustomize-controller"} {
		t.Run(manager, func(t *testing.T) {
			c, ns := open(t, func(cfg *cluster.Config) { cfg.Adopt = true })
			foreign(t, ns, manager, theirs.Replace(deployment), manager == "kustomize-controller")
			edit(t, ns, "Deployment", `{"metadata":{"annotations":{"argocd.argoproj.io/tracking-id":"a"}},"spec":{"template":{"spec":{"priority":0}}}}`)
			mr := claim(t, c, ns, "c1", objects(t, deployment))
			before := fieldsOf(t, ns, "deployments")
			set, err := reopen(t, ns).Plan(t.Context(), mr, objects(t, deployment), cluster.ApplyOptions{})
			var conflict *cluster.ConflictError
			if !errors.As(err, &conflict) || !conflict.Adoptable {
				t.Errorf("got %v", err)
			}
			want(t, "plan", actions(set), "configured Deployment.apps/iris")
			told := set.Changes[0].Fields
			want(t, "managers and labels", fieldsOf(t, ns, "deployments"), before)
			deployments := dynamicClient(t, "apps", "v1", "deployments", ns)
			live, err := deployments.Get(t.Context(), "iris", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Apply(t.Context(), mr, objects(t, deployment), cluster.ApplyOptions{}); err != nil {
				t.Fatal(err)
			}
			after, err := deployments.Get(t.Context(), "iris", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			checkTold(t, told, live.Object, after.Object)
		})
	}
}

// checkTold wants each field of a Deployment that davit has others in than the tool had to be told as it was and as it is.
func checkTold(t *testing.T, told []cluster.FieldDrift, before, after map[string]any) {
	t.Helper()
	const server = `.spec.template.spec.containers[name="server"].`
	container := func(o map[string]any, field string) (value any) {
		containers, _, _ := unstructured.NestedSlice(o, "spec", "template", "spec", "containers")
		return containers[0].(map[string]any)[field]
	}
	field := func(o map[string]any, path ...string) any {
		value, _, _ := unstructured.NestedFieldNoCopy(o, path...)
		return value
	}
	wanted := map[string][2]any{
		".metadata.labels.team": {field(before, "metadata", "labels", "team"), field(after, "metadata", "labels", "team")},
		".spec.minReadySeconds": {field(before, "spec", "minReadySeconds"), field(after, "spec", "minReadySeconds")},
		".spec.replicas":        {field(before, "spec", "replicas"), field(after, "spec", "replicas")},
	}
	for _, name := range []string{"args", "env", "image", "imagePullPolicy", "ports"} {
		wanted[server+name] = [2]any{container(before, name), container(after, name)}
	}
	text := func(value any) string {
		if value == nil {
			return ""
		}
		data, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for _, f := range told {
		if w, ok := wanted[f.Path]; ok {
			want(t, f.Path, f.Live+" → "+f.Wanted, text(w[0])+" → "+text(w[1]))
			delete(wanted, f.Path)
		} else if !strings.Contains(f.Path, `"side"`) && !strings.Contains(f.Path, "applyset") && !strings.Contains(f.Path, "deployment.kubernetes.io/revision") {
			t.Errorf("told, and did not come: %+v", f)
		}
	}
	if len(wanted) > 0 {
		t.Errorf("not told: %v", wanted)
	}
}

func TestARefusedAdoptionChangesNothing(t *testing.T) {
	for _, test := range []struct{ name, plural, theirs, mine, field string }{
		{"for what davit sets", "deployments", deployment, relabelled(deployment), "spec.selector"},
		// No dry run shows that the former manager's field can't go.
		{"for what goes with the former manager", "configmaps", strings.Replace(config, "\ndata:", "\nimmutable: true\ndata:", 1), config, "immutable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, ns := open(t, func(cfg *cluster.Config) { cfg.Adopt = true })
			foreign(t, ns, "helm", strings.Replace(test.theirs, "labels: {", "labels: {helm.sh/chart: a, ", 1), false)
			before := fieldsOf(t, ns, test.plural)
			mr := claim(t, c, ns, "c1", objects(t, test.mine))
			_, err := c.Apply(t.Context(), mr, objects(t, test.mine), cluster.ApplyOptions{})
			var refused *cluster.RefusedError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), test.field) {
				t.Fatalf("got %v", err)
			}
			want(t, "managers and labels", fieldsOf(t, ns, test.plural), before)
		})
	}
}

// TestAdoptAnew: an object that can't be changed in place is deleted and made anew, where both are asked for.
func TestAdoptAnew(t *testing.T) {
	c, ns := open(t, func(cfg *cluster.Config) { cfg.Adopt = true })
	foreign(t, ns, "kustomize-controller", relabelled(deployment), true)
	before, err := client.AppsV1().Deployments(ns).Get(t.Context(), "iris", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mr := claim(t, c, ns, "c1", objects(t, deployment))
	set, err := c.Plan(t.Context(), mr, objects(t, deployment), cluster.ApplyOptions{OnImmutable: cluster.Recreate})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "plan", actions(set), "recreated Deployment.apps/iris")
	eventually(t, func() error { // its pods go first
		_, err := c.Apply(t.Context(), mr, objects(t, deployment), cluster.ApplyOptions{OnImmutable: cluster.Recreate})
		var busy *cluster.BusyError
		if err != nil && !errors.As(err, &busy) {
			t.Fatal(err)
		}
		return err
	})
	after, err := client.AppsV1().Deployments(ns).Get(t.Context(), "iris", metav1.GetOptions{})
	if err != nil || after.UID == before.UID || len(after.Spec.Selector.MatchLabels) != 1 {
		t.Errorf("%+v, %v", after, err)
	}
}

// fieldsOf is who owns what of an object, and its labels.
func fieldsOf(t *testing.T, ns, plural string) string {
	t.Helper()
	group := ""
	if plural == "deployments" {
		group = "apps"
	}
	o, err := dynamicClient(t, group, "v1", plural, ns).Get(t.Context(), "iris", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var managers []string
	for _, e := range o.GetManagedFields() {
		if e.Subresource == "" && e.Manager != "kube-controller-manager" {
			managers = append(managers, e.Manager+" "+string(e.Operation)+" "+string(e.FieldsV1.GetRawBytes()))
		}
	}
	return fmt.Sprint(managers, o.GetLabels())
}
