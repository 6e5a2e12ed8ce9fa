package docs_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/deploy/crds"
)

// TestCRDs holds reference/crds.md against the CRDs, which are generated from reconciler/v1alpha1.
func TestCRDs(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# davit's kinds in Kubernetes\n\nWritten by `go test ./deploy/docs -update` from the CRDs in [deploy/crds](../../crds), which come from\n" +
		"[reconciler/v1alpha1](../../../reconciler/v1alpha1). A field marked * is required.\n" +
		"`kubectl explain modelregistry.spec` tells the same of a cluster.\n")
	for _, file := range [][]byte{crds.ModelRegistries, crds.ModelReleases} {
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(file, &crd); err != nil {
			t.Fatal(err)
		}
		kind(t, &b, &crd)
	}
	hold(t, "reference/crds.md", b.String())
}

// kind writes one CRD: what it is, what kubectl get shows, its spec and its status.
func kind(t *testing.T, b *bytes.Buffer, crd *apiextensionsv1.CustomResourceDefinition) {
	t.Helper()
	names, version := crd.Spec.Names, crd.Spec.Versions[0]
	fmt.Fprintf(b, "\n## %s\n\n`%s/%s`, %s, short name `%s`.\n\n%s\n", names.Kind, crd.Spec.Group, version.Name,
		strings.ToLower(string(crd.Spec.Scope)), strings.Join(names.ShortNames, "`, `"), line(version.Schema.OpenAPIV3Schema.Description))
	b.WriteString("\n| column | from | with -o wide only |\n|---|---|---|\n")
	for _, c := range version.AdditionalPrinterColumns {
		wide := ""
		if c.Priority > 0 {
			wide = "yes"
		}
		fmt.Fprintf(b, "| %s | `%s` | %s |\n", c.Name, c.JSONPath, wide)
	}
	for _, part := range []string{"spec", "status"} {
		schema, ok := version.Schema.OpenAPIV3Schema.Properties[part]
		if !ok {
			t.Fatalf("%s has no %s", names.Kind, part)
		}
		fmt.Fprintf(b, "\n### %s %s\n\n%s\n\n| field | type | meaning |\n|---|---|---|\n", names.Kind, part, line(schema.Description))
		properties(b, "", schema)
	}
}

// properties writes a row for each field below a schema, the fields of a field after it.
func properties(b *bytes.Buffer, above string, schema apiextensionsv1.JSONSchemaProps) {
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		p := schema.Properties[name]
		required := ""
		if slices.Contains(schema.Required, name) {
			required = "*"
		}
		typ, below := typeOf(p)
		fmt.Fprintf(b, "| `%s%s`%s | %s | %s |\n", above, name, required, typ, meaning(p))
		if below != nil {
			properties(b, above+name+suffix(typ)+".", *below)
		}
	}
}

// suffix is how a path goes on through a list or a map.
func suffix(typ string) string {
	switch {
	case strings.HasPrefix(typ, "list"):
		return "[]"
	case strings.HasPrefix(typ, "map"):
		return "{}"
	}
	return ""
}

// typeOf is a schema's type in words, and the schema whose fields are below it, or nil.
func typeOf(p apiextensionsv1.JSONSchemaProps) (string, *apiextensionsv1.JSONSchemaProps) {
	switch {
	case p.Items != nil && p.Items.Schema != nil:
		inner, below := typeOf(*p.Items.Schema)
		return "list of " + inner, below
	case p.AdditionalProperties != nil && p.AdditionalProperties.Schema != nil:
		inner, below := typeOf(*p.AdditionalProperties.Schema)
		return "map to " + inner, below
	case len(p.Properties) > 0:
		return "object", &p
	case p.Format != "":
		return p.Format, nil
	}
	return p.Type, nil
}

// meaning is a field's description with what its values are held to.
func meaning(p apiextensionsv1.JSONSchemaProps) string {
	text := line(p.Description)
	values := p.Enum
	if p.Items != nil && p.Items.Schema != nil {
		values = append(values, p.Items.Schema.Enum...)
	}
	if len(values) > 0 {
		var words []string
		for _, v := range values {
			words = append(words, "`"+strings.Trim(string(v.Raw), `"`)+"`")
		}
		text += " One of " + strings.Join(words, ", ") + "."
	}
	for _, v := range p.XValidations {
		text += " Refused otherwise: " + v.Message + "."
	}
	return cell(text)
}

// line is a text on one line.
func line(text string) string { return strings.Join(strings.Fields(text), " ") }

// cell is a text that can't end its cell of a table, and holds no HTML.
func cell(text string) string {
	return strings.TrimSpace(strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(line(text)))
}
