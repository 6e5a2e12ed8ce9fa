package registry_test

import (
	"strings"
	"testing"

	"github.com/davit-dev/davit/registry"
)

// TestNoNumber has a metric that no bound could hold back.
func TestNoNumber(t *testing.T) {
	for _, number := range []string{".nan", ".inf", "-.inf"} {
		var spec registry.ModelVersionSpec
		text := "apiVersion: davit.dev/v1alpha1\nkind: ModelVersion\nspec: {metrics: {auc: " + number + "}}\n"
		faults := registry.Decode("models/iris/versions/v1.yaml", []byte(text), "ModelVersion", &spec)
		if len(faults) != 1 || !strings.Contains(faults[0].Text, "is not a number") {
			t.Errorf("%s: %v", number, faults)
		}
	}
}

func TestDecode(t *testing.T) {
	for text, want := range map[string]string{
		"apiVersion: davit.dev/v1alpha1\nkind: Thing\nmetadata: {name: it}\nspec: {a: b}\n":   "",
		"apiVersion: davit.dev/v1alpha1\nkind: Other\nspec: {a: b}\n":                         `at/it.yaml:1: kind is "Other"; a file at this place is kind: Thing`,
		"apiVersion: davit.dev/v1alpha1\nkind: Thing\nmetadata: {name: that}\nspec: {a: b}\n": `at/it.yaml:3: metadata.name "that" disagrees with the place; write "it" or leave it out`,
		"apiVersion: davit.dev/v1alpha1\nkind: Thing\nspec: {a: b, c: d}\n":                   `at/it.yaml:3: unknown field "c" (have a)`,
		"apiVersion: davit.dev/v1alpha1\nkind: Thing\nspec: {a: &x b}\n":                      `at/it.yaml:3: anchors and aliases are not read; write the value out`,
		"apiVersion: davit.dev/v1alpha1\nkind: Thing\nspec: {a: b}\n---\nkind: Another\n":     `at/it.yaml:4: more than one document; write one object per file`,
	} {
		var spec struct {
			A string `yaml:"a"`
		}
		got := ""
		if faults := registry.Decode("at/it.yaml", []byte(text), "Thing", &spec); len(faults) > 0 {
			got = faults[0].String()
		}
		if got != want || want == "" && spec.A != "b" {
			t.Errorf("%s%q, want %q", text, got, want)
		}
	}
}
