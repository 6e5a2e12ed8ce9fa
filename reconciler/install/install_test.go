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
	authv1 "k8s.io/api/authorization/v1"
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
// which rights grow, and no Secrets for davit itself outside of its namespace.
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
		role := rbacv1.ClusterRole{}
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
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Await(ctx, install.Namespace, "davit", func(string) {}); err != nil {
		t.Fatal(err)
	}
	return c
}

const own, writer = "system:serviceaccount:davit-system:davit", "system:serviceaccount:%s:davit-releases"

// question is what somebody may or may not do: "verb resource[.group][/subresource][:name] namespace", "-" for all.
type question struct {
	who, what string
	allowed   bool
}

func (q question) review() *authv1.SubjectAccessReview {
	words := strings.Fields(q.what)
	resource, name, _ := strings.Cut(words[1], ":")
	resource, sub, _ := strings.Cut(resource, "/")
	resource, group, _ := strings.Cut(resource, ".")
	a := &authv1.ResourceAttributes{Verb: words[0], Group: group, Resource: resource, Subresource: sub, Name: name, Namespace: strings.TrimPrefix(words[2], "-")}
	groups := []string{"system:serviceaccounts", "system:authenticated"}
	return &authv1.SubjectAccessReview{Spec: authv1.SubjectAccessReviewSpec{User: q.who, Groups: groups, ResourceAttributes: a}}
}

// TestWhoMayDoWhat asks the API server, for each overlay.
func TestWhoMayDoWhat(t *testing.T) {
	for _, overlay := range install.Overlays() {
		ns := "may-" + string(overlay)
		apply(t, overlay, ns)
		single := !overlay.Impersonates()
		actor := fmt.Sprintf(writer, ns)
		questions := []question{
			{own, "get secrets davit-system", true},
			{own, "list secrets davit-system", true},
			{own, "watch secrets davit-system", true},
			{own, "create secrets davit-system", false},
			{own, "update secrets davit-system", false},
			{own, "get secrets kube-system", false},
			{own, "get secrets default", false},
			{own, "get secrets " + ns, single},
			{own, "watch secrets " + ns, false},
			{own, "list secrets -", false},
			{own, "list modelregistries.davit.dev davit-system", true},
			{own, "update modelregistries.davit.dev/status davit-system", true},
			{own, "update modelregistries.davit.dev davit-system", false},
			{own, "create modelregistries.davit.dev davit-system", false},
			{own, "create leases.coordination.k8s.io davit-system", true},
			{own, "create leases.coordination.k8s.io kube-system", false},
			{own, "create events.events.k8s.io davit-system", true},
			{own, "create events.events.k8s.io " + ns, true},
			{own, "create events.events.k8s.io default", false},
			{own, "get namespaces:davit-system davit-system", true},
			{own, "get customresourcedefinitions.apiextensions.k8s.io:modelregistries.davit.dev -", true},
			{own, "get customresourcedefinitions.apiextensions.k8s.io:modelreleases.davit.dev -", true},
			{own, "get customresourcedefinitions.apiextensions.k8s.io:jobsets.jobset.x-k8s.io -", false},
			{own, "list modelreleases.davit.dev " + ns, true},
			{own, "list modelreleases.davit.dev -", false},
			{own, "update modelreleases.davit.dev/status " + ns, true},
			{own, "patch modelreleases.davit.dev/status " + ns, true}, // serving metrics
			{own, "list configmaps " + ns, true},                      // runs, where Git is not written to
			{own, "list jobs.batch " + ns, true},
			{own, "watch jobs.batch " + ns, true},
			{own, "list jobsets.jobset.x-k8s.io " + ns, true},
			{own, "watch jobsets.jobset.x-k8s.io " + ns, true},
			{own, "list workloads.kueue.x-k8s.io " + ns, true},
			{own, "get workloadpriorityclasses.kueue.x-k8s.io:high -", true},
			{own, "list pods " + ns, true},
			{own, "list pods -", false},
			{own, "create subjectaccessreviews.authorization.k8s.io -", false},
			{own, "get services:davit-leader davit-system", true},
			{own, "patch endpointslices.discovery.k8s.io:davit-leader davit-system", true},
			{own, "create endpointslices.discovery.k8s.io:davit-leader davit-system", true}, // by server-side apply, which names it
			{own, "create endpointslices.discovery.k8s.io davit-system", false},
			{own, "patch endpointslices.discovery.k8s.io:davit davit-system", false},
			{own, "patch endpointslices.discovery.k8s.io:davit-leader " + ns, false},
			{own, "get services:davit davit-system", false},
			{own, "watch deployments.apps " + ns, true},
			{own, "watch deployments.apps default", false},
			{own, "patch deployments.apps " + ns, single},
			{own, "create jobs.batch " + ns, single},
			{own, "create services/proxy " + ns, single},
			{own, "get pods/log " + ns, single},
			{own, "patch deployments.apps default", false},
			{own, "patch deployments.apps davit-system", false},
			{own, "create pods " + ns, false},
			{own, "create pods/exec " + ns, false},
			{own, "get namespaces:" + ns + " " + ns, true},
			{own, "get namespaces:kube-system -", true},
			{own, "list namespaces -", false},
			{own, "create namespaces -", false},
			{own, "get nodes -", false},
			{own, "list nodes -", true}, // which GPUs there are
			{own, "list resourceslices.resource.k8s.io -", true},
			{own, "list deviceclasses.resource.k8s.io -", true},
			{own, "list resourceclaims.resource.k8s.io -", false},
			{own, "list resourceclaims.resource.k8s.io " + ns, true},
			{own, "impersonate serviceaccounts:davit-releases " + ns, !single},
			{own, "impersonate serviceaccounts:default " + ns, false},
			{own, "impersonate serviceaccounts:davit-releases default", false},
			{own, "impersonate users:admin -", false},
			{own, "impersonate groups:system:masters -", false},
			{own, "create serviceaccounts/token:davit-releases " + ns, false},
			{own, "escalate clusterroles.rbac.authorization.k8s.io -", false},
			{own, "bind clusterroles.rbac.authorization.k8s.io -", false},
			{own, "create rolebindings.rbac.authorization.k8s.io " + ns, false},
			{own, "update customresourcedefinitions.apiextensions.k8s.io -", false},
			{actor, "patch deployments.apps " + ns, !single},
			{actor, "delete jobs.batch " + ns, !single},
			{actor, "create jobsets.jobset.x-k8s.io " + ns, !single},
			{actor, "get services/proxy " + ns, !single},
			{actor, "create services/proxy " + ns, !single},
			{actor, "create pods/proxy " + ns, false},
			{actor, "get pods/log " + ns, !single},
			{actor, "create configmaps " + ns, !single},
			{actor, "update configmaps " + ns, !single},
			{actor, "get secrets " + ns, !single}, // pull secrets, and what SOPS decrypted
			{actor, "list secrets " + ns, !single},
			{actor, "create secrets " + ns, !single},
			{actor, "patch secrets " + ns, !single},
			{actor, "update secrets " + ns, !single},
			{actor, "delete secrets " + ns, !single},
			{actor, "watch secrets " + ns, false},
			{actor, "delete persistentvolumeclaims " + ns, false},
			{actor, "patch deployments.apps default", false},
			{actor, "get secrets davit-system", false},
			{actor, "create rolebindings.rbac.authorization.k8s.io " + ns, false},
			{actor, "create pods/exec " + ns, false},
			{actor, "impersonate serviceaccounts:davit davit-system", false},
			{actor, "update modelreleases.davit.dev " + ns, false},
		}
		for _, q := range questions {
			eventually(t, fmt.Sprintf("%s: %s may %s: %v", overlay, q.who, q.what, q.allowed), func() bool {
				got, err := client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), q.review(), metav1.CreateOptions{})
				return err == nil && got.Status.Allowed == q.allowed
			})
		}
	}
}

// eventually polls: roles come into force a moment after they are bound.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for began := time.Now(); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
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
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	err := c.Await(ctx, install.Namespace, "davit", func(string) {})
	if err == nil || !strings.Contains(err.Error(), "deployment davit-system/davit is not available") || !strings.Contains(err.Error(), "is not scheduled") {
		t.Errorf("got %v", err)
	}
}
