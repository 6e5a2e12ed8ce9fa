package fleet_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/fleet"
	"github.com/davit-dev/davit/reconciler/install"
)

// installed has each environment by a client of its own, as a ModelRegistry's grants have it.
type installed struct {
	*reconciler.Reconciler
	clients map[string]*cluster.Cluster
}

func (i installed) Cluster(environment string) *cluster.Cluster { return i.clients[environment] }
func (i installed) Clusters() (all []*cluster.Cluster) {
	for _, c := range i.clients {
		all = append(all, c)
	}
	return all
}

// TestGPUsAsInstalled: with the rights of deploy/multi-tenant davit knows which GPUs there are and which its environments hold,
// one cluster once; with deploy/capacity it knows of others' pods, too.
func TestGPUsAsInstalled(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.edit("releases/iris/serving.yaml", "  resources:", "  accelerator: gpu\n  gpus: 1\n  resources:")
	})
	w.until("iris is healthy in both", func() bool {
		all := w.Releases(fleet.Viewer{}, name, fleet.Query{State: string(fleet.Well)})
		return all != nil && len(all.Lines) == 1 && len(all.Lines[0].Cells) == 2
	})
	w.apply(w.install()...)
	davit := w.davit()
	other := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "other", Namespace: "default"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "a", Image: "a", Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("3")}},
		}}},
	}
	if _, err := w.client.CoreV1().Pods("default").Create(t.Context(), other, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = w.client.CoreV1().Pods("default").Delete(context.Background(), "other", metav1.DeleteOptions{})
	})

	minutes := 0
	f := fleet.New(fleet.Config{Now: func() time.Time { return time.Now().Add(time.Duration(minutes) * time.Minute) }})
	in := installed{w.Reconciler, map[string]*cluster.Cluster{}}
	for _, env := range []string{"staging", "production"} {
		c, err := cluster.New(t.Context(), cluster.Config{REST: davit, Owner: w.id, Namespaces: []string{w.id + "-" + env}})
		if err != nil {
			t.Fatal(err)
		}
		in.clients[env] = c
	}
	defer f.Follow(t.Context(), name, in)()
	var is fleet.GPUCluster
	gpus := func(partly bool, most int64) func() bool {
		return func() bool {
			minutes++ // what was read a minute ago is read anew
			got := f.GPUs(t.Context(), fleet.Viewer{}, name)
			if len(got.Clusters) != 1 || len(got.Clusters[0].Accelerators) != 1 {
				return false
			}
			is = got.Clusters[0]
			row := is.Accelerators[0]
			return len(is.Environments) == 2 && is.Partly == partly && !is.Unknown && row.Has == 8 && row.Releases == 2 && row.Free <= most
		}
	}
	w.until("the GPUs are counted, the environments' own pods with them", gpus(true, 6))
	if is.Accelerators[0].Free != 6 {
		t.Errorf("without the others 6 are free, not %d", is.Accelerators[0].Free)
	}
	w.apply(component(t, "../../deploy/capacity/roles.yaml")...)
	w.until("the pods of others count", gpus(false, 3))
}

// davit is davit's service account, by a token of its own.
func (w *world) davit() *rest.Config {
	w.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", dev.Kubeconfig)
	if err != nil {
		w.t.Fatal(err)
	}
	seconds := int64(3600)
	token, err := w.client.CoreV1().ServiceAccounts(install.Namespace).CreateToken(w.t.Context(), "davit", &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return &rest.Config{Host: config.Host, BearerToken: token.Status.Token, TLSClientConfig: rest.TLSClientConfig{CAData: config.CAData, CAFile: config.CAFile}}
}

// install are the accounts and roles of a multi-tenant installation, with those of the environments' namespaces.
func (w *world) install() (roles []*unstructured.Unstructured) {
	w.t.Helper()
	cfg := install.Config{Overlay: install.MultiTenant}
	all, err := install.Controller(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, env := range []string{"staging", "production"} {
		more, err := install.Environment(cfg, w.id+"-"+env)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, more...)
	}
	for _, o := range all {
		switch o.GetKind() {
		case "Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding":
			roles = append(roles, o)
		}
	}
	return roles
}

// component reads the objects of a file.
func component(t *testing.T, file string) (all []*unstructured.Unstructured) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for part := range strings.SplitSeq(string(text), "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(part), &o.Object); err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

// apply has them in the cluster.
func (w *world) apply(objects ...*unstructured.Unstructured) {
	w.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", dev.Kubeconfig)
	if err != nil {
		w.t.Fatal(err)
	}
	admin, err := cluster.New(w.t.Context(), cluster.Config{REST: config})
	if err == nil {
		err = admin.Setup(w.t.Context(), objects, false, func(string, cluster.Change) {})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}
