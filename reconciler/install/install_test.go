package install_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/install"
)

// dev is the one cluster of this package's tests, with two nodes for two replicas.
var (
	dev    *devcluster.Cluster
	admin  *rest.Config
	client *kubernetes.Clientset
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	if devcluster.Fuzzing() {
		return m.Run()
	}
	var err error
	if dev, err = devcluster.Start(context.Background(), devcluster.Config{Nodes: 2, Log: os.Stderr}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := dev.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	if admin, err = clientcmd.BuildConfigFromFlags("", dev.Kubeconfig); err == nil {
		admin.QPS = -1 // hundreds of questions
		client, err = kubernetes.NewForConfig(admin)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// objects are an installation with one environment.
func objects(t *testing.T, overlay install.Overlay, image, environment string) []*unstructured.Unstructured {
	t.Helper()
	cfg := install.Config{Overlay: overlay, Image: image}
	all, err := install.Controller(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if environment == "" {
		return all
	}
	more, err := install.Environment(cfg, environment)
	if err != nil {
		t.Fatal(err)
	}
	return append(all, more...)
}

// TestNoWildcards reads every rule of every overlay, and of the components that have some: no wildcard, none of the verbs by
// which rights grow, and nothing for anybody but davit and whom it acts as.
func TestNoWildcards(t *testing.T) {
	rules := 0
	for _, overlay := range install.Overlays() {
		rules += checkRules(t, string(overlay), objects(t, overlay, "", "ml"))
		rules += checkRules(t, string(overlay)+" with components", composed(t, overlay, "page", "capacity"))
	}
	if rules < 120 {
		t.Errorf("only %d rules were read", rules)
	}
}

func checkRules(t *testing.T, what string, objects []*unstructured.Unstructured) (rules int) {
	t.Helper()
	for _, o := range objects {
		role, binding := rbacv1.ClusterRole{}, rbacv1.ClusterRoleBinding{}
		if o.GetKind() == "ClusterRoleBinding" || o.GetKind() == "RoleBinding" {
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &binding); err != nil {
				t.Fatal(err)
			}
			for _, s := range binding.Subjects {
				if s.Kind != rbacv1.ServiceAccountKind || s.Name != "davit" && s.Name != install.Writer {
					t.Errorf("%s: %s %s is for %s %s", what, o.GetKind(), o.GetName(), s.Kind, s.Name)
				}
			}
		}
		if o.GetKind() != "ClusterRole" && o.GetKind() != "Role" {
			continue
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &role); err != nil {
			t.Fatal(err)
		}
		for _, r := range role.Rules {
			rules++
			all := slices.Concat(r.APIGroups, r.Resources, r.Verbs, r.NonResourceURLs)
			if slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, "*") }) {
				t.Errorf("%s: %s %s: a wildcard in %+v", what, o.GetKind(), o.GetName(), r)
			}
			for _, verb := range []string{"escalate", "bind", "deletecollection"} {
				if slices.Contains(r.Verbs, verb) {
					t.Errorf("%s: %s %s: %s in %+v", what, o.GetKind(), o.GetName(), verb, r)
				}
			}
			if slices.Contains(r.Verbs, "impersonate") && len(r.ResourceNames) == 0 {
				t.Errorf("%s: %s %s: may act as anybody", what, o.GetKind(), o.GetName())
			}
		}
	}
	return rules
}

// TestSameAsKubectl builds each overlay and environment with kubectl from the folder, and as davit install does from the
// binary.
func TestSameAsKubectl(t *testing.T) {
	for _, overlay := range install.Overlays() {
		want := kubectlKustomize(t, "../../deploy/"+string(overlay))
		got, err := install.YAML(objects(t, overlay, "", ""))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s differs from kubectl kustomize", overlay)
		}
	}
	for _, kind := range []install.Overlay{install.SingleTenant, install.MultiTenant} {
		dir := filepath.Join(t.TempDir(), "environment")
		if err := os.CopyFS(dir, os.DirFS("../../deploy/environment")); err != nil {
			t.Fatal(err)
		}
		top := "namespace: ml\nresources: [" + string(kind) + "]\n"
		if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(top), 0o644); err != nil {
			t.Fatal(err)
		}
		environment, err := install.Environment(install.Config{Overlay: kind}, "ml")
		if err != nil {
			t.Fatal(err)
		}
		got, err := install.YAML(environment[1:]) // the Namespace is the platform team's there
		if err != nil {
			t.Fatal(err)
		}
		if want := kubectlKustomize(t, dir); string(got) != want {
			t.Errorf("environment/%s differs from kubectl kustomize", kind)
		}
	}
}

func kubectlKustomize(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), dev.Bin("kubectl"), "kustomize", dir).Output()
	if err != nil {
		t.Fatalf("kubectl kustomize %s: %v", dir, err)
	}
	return string(out)
}

// TestImage takes what a registry takes, and nothing that changes its meaning by itself.
func TestImage(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	for image, want := range map[string]string{
		"registry.example.com/ml/davit:v1":        "registry.example.com/ml/davit:v1",
		"127.0.0.1:5000/davit:v1":                 "127.0.0.1:5000/davit:v1",
		"registry.example.com/davit@" + digest:    "registry.example.com/davit@" + digest,
		"registry.example.com/davit:v1@" + digest: "registry.example.com/davit@" + digest,
		"registry.example.com/davit":              "",
		"127.0.0.1:5000/davit":                    "",
		"registry.example.com/davit: v1":          "",
		"davit@sha256:abc":                        "",
		"registry.example.com/" + strings.Repeat("a", 237-len("registry.example.com/")) + ":v1": "registry.example.com/" + strings.Repeat("a", 237-len("registry.example.com/")) + ":v1",
		"registry.example.com/" + strings.Repeat("a", 238-len("registry.example.com/")) + ":v1": "",
	} {
		all, err := install.Controller(install.Config{Overlay: install.MultiTenant, Image: image})
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("image %q", image)) {
				t.Errorf("%s: %v", image, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", image, err)
			continue
		}
		if d := deployment(t, all); d.Spec.Template.Spec.Containers[0].Image != want {
			t.Errorf("%s became %s", image, d.Spec.Template.Spec.Containers[0].Image)
		}
	}
}

func deployment(t *testing.T, all []*unstructured.Unstructured) *appsv1.Deployment {
	t.Helper()
	d := &appsv1.Deployment{}
	for _, o := range all {
		if o.GetKind() == "Deployment" {
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, d); err != nil {
				t.Fatal(err)
			}
		}
	}
	return d
}

// apply installs, waits for the controller and gives a Cluster of the administrator.
func apply(t *testing.T, overlay install.Overlay, environment string) *cluster.Cluster {
	t.Helper()
	c, err := cluster.New(t.Context(), cluster.Config{REST: admin})
	if err != nil {
		t.Fatal(err)
	}
	none := func(string, cluster.Change) {}
	if err := c.Setup(t.Context(), objects(t, overlay, "registry.example.com/davit:v1", environment), false, none); err != nil {
		t.Fatal(err)
	}
	others, err := install.Others(install.Config{Overlay: overlay})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.TearDown(t.Context(), others, false, none); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := c.Await(ctx, install.Namespace, "davit", func(string) {}); err != nil {
		t.Fatal(err)
	}
	return c
}

// eventually polls: roles come into force a moment after they are bound.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for began := time.Now(); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 2*time.Minute {
			t.Errorf("not so: %s", what)
			return
		}
	}
}

// TestRealRequests sends what the matrix asks about, as davit and as whom it acts.
func TestRealRequests(t *testing.T) {
	const ns = "real-multi"
	apply(t, install.MultiTenant, ns)
	as := func(user string, impersonate string) *kubernetes.Clientset {
		cfg := rest.CopyConfig(admin)
		cfg.Impersonate = rest.ImpersonationConfig{UserName: user}
		if impersonate != "" { // with a token of its own, since one can't act as somebody who acts as another
			token, err := client.CoreV1().ServiceAccounts("davit-system").CreateToken(t.Context(), "davit", tokenRequest(), metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			cfg = &rest.Config{Host: admin.Host, BearerToken: token.Status.Token, TLSClientConfig: rest.TLSClientConfig{CAData: admin.CAData, CAFile: admin.CAFile}}
			cfg.Impersonate = rest.ImpersonationConfig{UserName: impersonate}
		}
		c, err := kubernetes.NewForConfig(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	create := func(c *kubernetes.Clientset) error {
		_, err := c.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "a-"}}, metav1.CreateOptions{})
		return err
	}
	acting := as("", fmt.Sprintf(writer, ns))
	eventually(t, "davit writes as the environment's account", func() bool { return create(acting) == nil })
	if err := create(as(own, "")); !apierrors.IsForbidden(err) {
		t.Errorf("davit writes as itself: %v", err)
	}
	for _, other := range []string{"system:serviceaccount:" + ns + ":default", "system:serviceaccount:kube-system:default", "kubernetes-admin"} {
		if err := create(as("", other)); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "impersonate") {
			t.Errorf("davit acts as %s: %v", other, err)
		}
	}
	if _, err := as(own, "").CoreV1().Secrets(metav1.NamespaceSystem).List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("davit lists Secrets: %v", err)
	}
	for _, c := range []*kubernetes.Clientset{as(own, ""), acting} {
		grown := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "grown"}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}}}
		if _, err := c.RbacV1().ClusterRoles().Create(t.Context(), grown, metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("a ClusterRole is made: %v", err)
		}
		bound := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "grown"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"}}
		if _, err := c.RbacV1().RoleBindings(ns).Create(t.Context(), bound, metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("a role is bound: %v", err)
		}
		if _, err := c.CoreV1().ServiceAccounts(ns).CreateToken(t.Context(), install.Writer, tokenRequest(), metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("a token is made: %v", err)
		}
	}
}

func tokenRequest() *authenticationv1.TokenRequest {
	seconds := int64(3600)
	return &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
}

// TestRestricted: the pods are admitted where Pod Security enforces the restricted profile, and others are not.
func TestRestricted(t *testing.T) {
	apply(t, install.HighlyAvailable, "")
	ns, err := client.CoreV1().Namespaces().Get(t.Context(), install.Namespace, metav1.GetOptions{})
	if err != nil || ns.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
		t.Fatalf("namespace: %v %v", ns.Labels, err)
	}
	d, err := client.AppsV1().Deployments(install.Namespace).Get(t.Context(), "davit", metav1.GetOptions{})
	if err != nil || d.Status.AvailableReplicas != 2 {
		t.Errorf("%d replicas are available: %v", d.Status.AvailableReplicas, err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "other-"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}}}
	if _, err := client.CoreV1().Pods(install.Namespace).Create(t.Context(), pod, metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a pod without a security context: %v", err)
	}
}

// TestPolicy: a ModelRegistry that forgets a service account is refused in words, where there are several tenants.
func TestPolicy(t *testing.T) {
	apply(t, install.MultiTenant, "")
	registries := dynamic.NewForConfigOrDie(admin).Resource(schema.GroupVersionResource{Group: "davit.dev", Version: "v1alpha1", Resource: "modelregistries"}).Namespace(install.Namespace)
	write := func(name, account string) error {
		env := map[string]any{"name": "production", "namespaces": []any{"ml"}}
		if account != "" {
			env["serviceAccount"] = map[string]any{"namespace": account, "name": install.Writer}
		}
		o := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "davit.dev/v1alpha1", "kind": "ModelRegistry", "metadata": map[string]any{"name": name},
			"spec": map[string]any{"url": "https://git.example.com/models.git", "environments": []any{env}},
		}}
		_, err := registries.Create(t.Context(), o, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	refused := func(account, why string) func() bool {
		return func() bool { err := write("a", account); return err != nil && strings.Contains(err.Error(), why) }
	}
	eventually(t, "no service account is refused", refused("", "environment production needs serviceAccount"))
	eventually(t, "one of another namespace is refused", refused("other", "in one of its own namespaces"))
	if err := write("a", "ml"); err != nil {
		t.Error(err)
	}
}

// TestAwaitSaysWhy: a controller that can't come up is told of with its reason.
func TestAwaitSaysWhy(t *testing.T) {
	c := apply(t, install.SingleTenant, "")
	all := objects(t, install.SingleTenant, "registry.example.com/davit:v2", "")
	for _, o := range all {
		if o.GetKind() == "Deployment" {
			if err := unstructured.SetNestedField(o.Object, map[string]any{"never": "there"}, "spec", "template", "spec", "nodeSelector"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.Setup(t.Context(), all, false, func(string, cluster.Change) {}); err != nil {
		t.Fatal(err)
	}
	defer apply(t, install.SingleTenant, "")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err := c.Await(ctx, install.Namespace, "davit", func(why string) {
		if strings.Contains(why, "is not scheduled") {
			cancel()
		}
	})
	if err == nil || !strings.Contains(err.Error(), "deployment davit-system/davit is not available") || !strings.Contains(err.Error(), "is not scheduled") {
		t.Errorf("got %v", err)
	}
}
