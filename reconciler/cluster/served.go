package cluster

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/deploy/crds"
)

var crdResource = schema.GroupVersionResource{
	Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
}

// CRD is how a cluster has one of davit's CRDs.
type CRD struct {
	Name      string
	Installed bool
	// Served says that the API server answers for it.
	Served bool
	// Lacks are fields of this davit that the installed one does not have: the API server drops them in silence. Other are
	// fields that this davit does not know: a newer one installed it.
	Lacks, Other []string
}

// CRDs compares davit's CRDs with what is installed.
func (c *Cluster) CRDs(ctx context.Context) (all []CRD, err error) {
	for _, file := range [][]byte{crds.ModelReleases, crds.ModelRegistries} {
		own := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(file, &own.Object); err != nil {
			return nil, fmt.Errorf("reading a CRD: %w", err)
		}
		live, err := c.dynamic.Resource(crdResource).Get(ctx, own.GetName(), metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			all = append(all, CRD{Name: own.GetName()})
			continue
		case err != nil:
			return nil, fmt.Errorf("reading CRD %s: %w", own.GetName(), err)
		}
		want, has := fieldsOf(own), fieldsOf(live)
		all = append(all, CRD{
			Name: own.GetName(), Installed: true, Served: established(live),
			Lacks: lacking(want, has), Other: lacking(has, want),
		})
	}
	return all, nil
}

// fieldsOf are the paths of all fields of a CRD's schemas, "v1alpha1.spec.url".
func fieldsOf(crd *unstructured.Unstructured) map[string]bool {
	out := map[string]bool{}
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	for _, v := range versions {
		version, _ := v.(map[string]any)
		name, _, _ := unstructured.NestedString(version, "name")
		root, _, _ := unstructured.NestedMap(version, "schema", "openAPIV3Schema")
		addFields(out, name, root)
	}
	return out
}

func addFields(out map[string]bool, path string, schema map[string]any) {
	if items, ok := schema["items"].(map[string]any); ok {
		addFields(out, path+"[]", items)
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, below := range properties {
		out[path+"."+name] = true
		if next, ok := below.(map[string]any); ok {
			addFields(out, path+"."+name, next)
		}
	}
}

// lacking are the paths of a that b lacks, those below one that is named left out.
func lacking(a, b map[string]bool) (out []string) {
	for _, path := range slices.Sorted(maps.Keys(a)) {
		if n := len(out); !b[path] && (n == 0 || !strings.HasPrefix(path, out[n-1]+".") && !strings.HasPrefix(path, out[n-1]+"[")) {
			out = append(out, path)
		}
	}
	return out
}

// Clock is how far the API server's clock is ahead of this machine's, to a second.
func (c *Cluster) Clock(ctx context.Context) (time.Duration, error) {
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, c.releases.Get().AbsPath("/version").URL().String(), nil)
	if err != nil {
		return 0, err
	}
	before := time.Now()
	answer, err := c.releases.Client.Do(ask)
	if err != nil {
		return 0, fmt.Errorf("asking the API server for its time: %w", err)
	}
	defer answer.Body.Close()
	after := time.Now()
	date, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return 0, fmt.Errorf("reading the API server's time: %w", err)
	}
	// A Date has whole seconds: the middle of one is nearest.
	return date.Add(time.Second / 2).Sub(before.Add(after.Sub(before) / 2)).Round(time.Second), nil
}

// Nodes lists the nodes.
func (c *Cluster) Nodes(ctx context.Context) (all []corev1.Node, err error) {
	err = pages(ctx, "nodes", c.typed.CoreV1().Nodes().List, func(list *corev1.NodeList) {
		for _, n := range list.Items {
			n.ManagedFields, n.Status.Images = nil, nil
			all = append(all, n)
		}
	})
	return all, err
}
