package reconciler_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/install"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry/image"
)

// install applies an installation's rights: what of it is not the controller's own process. The admission policy is
// for all of the cluster, which other tests share.
func (w *world) install(cfg install.Config, namespaces ...string) {
	w.t.Helper()
	objects, err := install.Controller(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	objects = slices.DeleteFunc(objects, func(o *unstructured.Unstructured) bool {
		return o.GetKind() == "Deployment" || strings.HasPrefix(o.GetKind(), "ValidatingAdmissionPolicy")
	})
	for _, namespace := range namespaces {
		more, err := install.Environment(cfg, namespace)
		if err != nil {
			w.t.Fatal(err)
		}
		objects = append(objects, more...)
	}
	if err := w.cluster.Setup(w.t.Context(), objects, false, func(string, cluster.Change) {}); err != nil {
		w.t.Fatal(err)
	}
	w.eventually("aggregated", func() bool {
		role, err := w.kubectl().RbacV1().ClusterRoles().Get(w.t.Context(), "davit-releases", get)
		return err == nil && len(role.Rules) > 0
	})
}

// account is how the controller's pod reaches the API server: with a token of its service account and nothing else.
func (w *world) account(namespace string) *rest.Config {
	w.t.Helper()
	seconds := int64(3600)
	token, err := w.kubectl().CoreV1().ServiceAccounts(namespace).CreateToken(w.t.Context(), "davit", &authv1.TokenRequest{Spec: authv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	admin := restConfig(w.t)
	return &rest.Config{Host: admin.Host, BearerToken: token.Status.Token, TLSClientConfig: rest.TLSClientConfig{CAData: admin.CAData, CAFile: admin.CAFile}}
}

// registerIn creates a ModelRegistry of both environments, which have the pull secrets.
func (w *world) registerIn(namespace string, impersonate bool, pullSecrets ...string) {
	w.t.Helper()
	mr := v1alpha1.ModelRegistry{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.RegistryKind},
		ObjectMeta: metav1.ObjectMeta{Name: "models"}, Spec: v1alpha1.ModelRegistrySpec{URL: w.dir},
	}
	for _, env := range []string{"staging", "production"} {
		g := v1alpha1.EnvironmentGrant{Name: env, Namespaces: []string{w.namespace(env)}, PullSecrets: pullSecrets}
		if impersonate {
			g.ServiceAccount = &v1alpha1.ServiceAccount{Namespace: w.namespace(env), Name: install.Writer}
		}
		mr.Spec.Environments = append(mr.Spec.Environments, g)
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&mr)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.registries(namespace).Create(w.t.Context(), &unstructured.Unstructured{Object: object}, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) registries(namespace string) dynamic.ResourceInterface {
	w.t.Helper()
	client, err := dynamic.NewForConfig(restConfig(w.t))
	if err != nil {
		w.t.Fatal(err)
	}
	return client.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.RegistryResource)).Namespace(namespace)
}

// condition is one of the ModelRegistry; nil while it has none.
func (w *world) condition(namespace, typ string) *metav1.Condition {
	w.t.Helper()
	u, err := w.registries(namespace).Get(w.t.Context(), "models", get)
	if err != nil {
		w.t.Fatal(err)
	}
	mr := v1alpha1.ModelRegistry{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &mr); err != nil {
		w.t.Fatal(err)
	}
	return meta.FindStatusCondition(mr.Status.Conditions, typ)
}

// controller runs one as cfg until it is stopped, or the test ends.
func (w *world) controllerAs(cfg *rest.Config, namespace string) (stop func()) {
	w.t.Helper()
	own, err := cluster.New(w.t.Context(), cluster.Config{REST: cfg, Owner: "davit", Namespaces: []string{namespace}})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := own.CheckOwn(w.t.Context(), namespace); err != nil {
		w.t.Fatal(err)
	}
	images, err := image.New(image.Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	mirrors := w.t.TempDir()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error)
	go func() {
		done <- own.Lead(ctx, namespace, "davit", func(ctx context.Context) error {
			return reconciler.Control(ctx, reconciler.ControllerConfig{
				Cluster: own, Namespace: namespace, Mirrors: mirrors, Images: images, Log: slog.New(slog.DiscardHandler),
				Report: func(p reconciler.Report) { w.reports <- p },
			})
		})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

// TestMissingRights: an environment whose rights are not bound is named, with what is missing and for whom, while the
// other goes on; it begins when they are.
func TestMissingRights(t *testing.T) {
	w := newWorld(t)
	namespace, ctx := w.id+"-davit", t.Context()
	cfg := install.Config{Overlay: install.MultiTenant, Namespace: namespace}
	w.install(cfg, w.namespace("staging"))
	if _, err := w.kubectl().CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace("production")}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.registerIn(namespace, true)
	w.controllerAs(w.account(namespace), namespace)
	w.until(staging, "v1", v1alpha1.Healthy)
	account, told := "system:serviceaccount:"+namespace+":davit may not, in namespace "+w.namespace("production")+": ", ""
	w.eventually("told", func() bool {
		c := w.condition(namespace, v1alpha1.ConditionConnected)
		if c == nil {
			return false
		}
		told = c.Message
		return c.Reason == "MissingRights" && c.Status == metav1.ConditionFalse
	})
	for _, part := range []string{"environment production: ", account, "list modelreleases.davit.dev, watch modelreleases.davit.dev", "davit install --environment NAME=" + w.namespace("production")} {
		if !strings.Contains(told, part) {
			t.Errorf("%q does not say %q", told, part)
		}
	}
	w.install(cfg, w.namespace("production"))
	w.until(production, "v1", v1alpha1.Healthy)
}
