package install_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/install"
)

// composed is what kubectl makes of an overlay with components beside it, as deploy/docs/operating.md has it.
func composed(t *testing.T, overlay install.Overlay, components ...string) (all []*unstructured.Unstructured) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../deploy")); err != nil {
		t.Fatal(err)
	}
	top := filepath.Join(dir, "top")
	if err := os.Mkdir(top, 0o755); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("resources: [../%s]\ncomponents: [../%s]\n", overlay, strings.Join(components, ", ../"))
	if err := os.WriteFile(filepath.Join(top, "kustomization.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return parts(t, kubectlKustomize(t, top))
}

func parts(t *testing.T, text string) (all []*unstructured.Unstructured) {
	t.Helper()
	for part := range strings.SplitSeq(text, "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(part), &o.Object); err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

// TestComponents: with deploy/page the page is served over TLS to the Service of the leader, where the network lets it in.
func TestComponents(t *testing.T) {
	for _, overlay := range install.Overlays() {
		all := composed(t, overlay, "page", "capacity")
		container := deployment(t, all).Spec.Template.Spec.Containers[0]
		at := "" // the last one counts
		for _, arg := range container.Args {
			if address, is := strings.CutPrefix(arg, "--ui="); is {
				at = address
			}
		}
		if at != ":8443" || !slices.Contains(container.Args, "--ui-cert=/etc/davit/page/tls.crt") {
			t.Errorf("%s: arguments %v", overlay, container.Args)
		}
		service := corev1.Service{}
		for _, o := range all {
			if o.GetKind() == "Service" && o.GetName() == "davit-leader" {
				if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &service); err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(service.Spec.Ports) != 2 || service.Spec.Selector != nil || service.Spec.Ports[0].Name != "page" || service.Spec.Ports[0].Port != 443 {
			t.Errorf("%s: Service %+v", overlay, service.Spec)
		}
	}
}

// TestLeaderIsReached: by the rights of an installation the Service leads to who leads, then to the next one. What
// davit may write is that one's EndpointSlice alone.
func TestLeaderIsReached(t *testing.T) {
	apply(t, install.MultiTenant, "")
	cfg := rest.CopyConfig(admin)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: own, Groups: []string{"system:serviceaccounts", "system:authenticated"}}
	davit, err := cluster.New(t.Context(), cluster.Config{REST: cfg})
	if err != nil {
		t.Fatal(err)
	}
	leads := func(address string, ports map[string]int32) (end func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			davit.BeReached(ctx, cluster.Reached{Namespace: install.Namespace, Service: "davit-leader", Address: netip.MustParseAddr(address), Ports: ports}, func(err error) {
				t.Logf("again: %v", err)
			})
		}()
		eventually(t, "the Service leads to "+address, func() bool {
			got, err := client.DiscoveryV1().EndpointSlices(install.Namespace).Get(t.Context(), "davit-leader", metav1.GetOptions{})
			return err == nil && got.Labels["kubernetes.io/service-name"] == "davit-leader" && len(got.OwnerReferences) == 1 && len(got.Endpoints) == 1 &&
				got.Endpoints[0].Addresses[0] == address && len(got.Ports) == len(ports)
		})
		return func() { cancel(); <-done }
	}
	leads("10.0.0.1", map[string]int32{"page": 8443, "webhook": 9292})()
	leads("10.0.0.2", map[string]int32{"webhook": 9292})()
	ctx, cancel := context.WithCancel(t.Context())
	refused := error(nil)
	davit.BeReached(ctx, cluster.Reached{Namespace: install.Namespace, Service: "davit", Address: netip.MustParseAddr("10.0.0.3")}, func(err error) {
		refused = err
		cancel()
	})
	if !apierrors.IsForbidden(refused) || !strings.HasPrefix(refused.Error(), "having Service davit lead here: ") {
		t.Errorf("where another Service leads is davit's to say: %v", refused)
	}
}
