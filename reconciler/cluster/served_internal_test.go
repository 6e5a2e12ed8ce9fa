package cluster

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/deploy/crds"
)

// TestFieldsOfCRD tells an older and a newer CRD by their fields, and names the uppermost of what is missing.
func TestFieldsOfCRD(t *testing.T) {
	own, other := &unstructured.Unstructured{}, &unstructured.Unstructured{}
	for _, crd := range []*unstructured.Unstructured{own, other} {
		if err := yaml.Unmarshal(crds.ModelRegistries, &crd.Object); err != nil {
			t.Fatal(err)
		}
	}
	version := other.Object["spec"].(map[string]any)["versions"].([]any)[0].(map[string]any)
	spec, _, err := unstructured.NestedFieldNoCopy(version, "schema", "openAPIV3Schema", "properties", "spec", "properties")
	if err != nil {
		t.Fatal(err)
	}
	properties := spec.(map[string]any)
	delete(properties, "forge")
	properties["parts"] = map[string]any{"type": "string"}
	if got, want := lacking(fieldsOf(own), fieldsOf(other)), []string{"v1alpha1.spec.forge"}; !slices.Equal(got, want) {
		t.Errorf("lacks %q, want %q", got, want)
	}
	if got, want := lacking(fieldsOf(other), fieldsOf(own)), []string{"v1alpha1.spec.parts"}; !slices.Equal(got, want) {
		t.Errorf("has besides %q, want %q", got, want)
	}
	if !fieldsOf(own)["v1alpha1.spec.environments[].namespaces"] {
		t.Errorf("no field of a list's items among %d", len(fieldsOf(own)))
	}
}

func TestClock(t *testing.T) {
	for _, skew := range []time.Duration{0, 90 * time.Second, -10 * time.Minute} {
		api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(skew).UTC().Format(http.TimeFormat))
		}))
		defer api.Close()
		c, err := New(t.Context(), Config{REST: &rest.Config{Host: api.URL}})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		got, err := c.Clock(t.Context())
		if took := time.Since(began); err != nil || (got-skew).Abs() > 2*time.Second+took {
			t.Errorf("got %s and %v after %s, want about %s", got, err, took, skew)
		}
	}
}
