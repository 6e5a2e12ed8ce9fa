package v1alpha1_test

import (
	"reflect"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/deploy/crds"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// A field the schema lacks is dropped by the API server in silence.
func TestEveryFieldIsInTheSchema(t *testing.T) {
	release := load(t, crds.ModelReleases, v1alpha1.Resource)
	root := release.Spec.Versions[0].Schema.OpenAPIV3Schema
	compare(t, "spec", reflect.TypeFor[v1alpha1.ModelReleaseSpec](), root.Properties["spec"])
	compare(t, "status", reflect.TypeFor[v1alpha1.ModelReleaseStatus](), root.Properties["status"])
	if release.Labels["applyset.kubernetes.io/is-parent-type"] != "true" {
		t.Error("not marked as ApplySet parent")
	}
	root = load(t, crds.ModelRegistries, v1alpha1.RegistryResource).Spec.Versions[0].Schema.OpenAPIV3Schema
	compare(t, "spec", reflect.TypeFor[v1alpha1.ModelRegistrySpec](), root.Properties["spec"])
	compare(t, "status", reflect.TypeFor[v1alpha1.ModelRegistryStatus](), root.Properties["status"])
}

func load(t *testing.T, file []byte, resource string) (crd apiextensionsv1.CustomResourceDefinition) {
	t.Helper()
	if err := yaml.UnmarshalStrict(file, &crd); err != nil {
		t.Fatal(err)
	}
	version := crd.Spec.Versions[0]
	if crd.Name != resource+"."+v1alpha1.GroupVersion.Group || version.Name != v1alpha1.GroupVersion.Version {
		t.Errorf("CRD is %s, version %s", crd.Name, version.Name)
	}
	if version.Subresources == nil || version.Subresources.Status == nil {
		t.Error("no status subresource")
	}
	return crd
}

func compare(t *testing.T, path string, typ reflect.Type, schema apiextensionsv1.JSONSchemaProps) {
	t.Helper()
	switch typ.Kind() {
	case reflect.Pointer:
		compare(t, path, typ.Elem(), schema)
		return
	case reflect.Slice:
		if schema.Items == nil || schema.Items.Schema == nil {
			t.Errorf("%s is no list in the schema", path)
			return
		}
		compare(t, path+"[]", typ.Elem(), *schema.Items.Schema)
		return
	case reflect.Map:
		if schema.AdditionalProperties == nil || schema.AdditionalProperties.Schema == nil {
			t.Errorf("%s is no map in the schema", path)
			return
		}
		compare(t, path+"{}", typ.Elem(), *schema.AdditionalProperties.Schema)
		return
	case reflect.Struct:
	default:
		return
	}
	if typ == reflect.TypeFor[metav1.Time]() || typ == reflect.TypeFor[metav1.MicroTime]() || typ == reflect.TypeFor[metav1.Duration]() {
		return
	}
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		property, ok := schema.Properties[name]
		if !ok {
			t.Errorf("%s.%s is not in the schema; run go generate", path, name)
			continue
		}
		compare(t, path+"."+name, typ.Field(i).Type, property)
	}
	if len(schema.Properties) != typ.NumField() {
		t.Errorf("%s has %d fields, its schema %d; run go generate", path, typ.NumField(), len(schema.Properties))
	}
}
