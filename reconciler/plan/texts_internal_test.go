package plan

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/render"
)

func rendered(objects ...map[string]any) *render.Output {
	out := &render.Output{}
	for _, o := range objects {
		out.Objects = append(out.Objects, &unstructured.Unstructured{Object: o})
	}
	return out
}

func object(kind, name, field string, data map[string]any) map[string]any {
	return map[string]any{"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": name}, field: data}
}

// TestTextsHideSecrets compares objects line by line: of a Secret nobody reads more than that there is one.
func TestTextsHideSecrets(t *testing.T) {
	from := rendered(object("Secret", "hub", "stringData", map[string]any{"token": "pl4nted-token"}), object("Secret", "old", "data", map[string]any{"a": "b3BlbnNlc2FtZQ=="}),
		object("ConfigMap", "settings", "data", map[string]any{"mode": "fast", "same": "yes"}))
	to := rendered(object("Secret", "hub", "stringData", map[string]any{"token": "pl4nted-other"}), object("ConfigMap", "settings", "data", map[string]any{"mode": "slow", "same": "yes"}))
	var got strings.Builder
	for _, text := range differing(from, to) {
		got.WriteString(string(text.Change) + " " + text.Kind + " " + text.Name + "\n")
		for _, l := range text.Lines {
			got.WriteString(l.Op + l.Text + "\n")
		}
	}
	want := `change Secret hub
change ConfigMap settings
 apiVersion: v1
 data:
-  mode: fast
+  mode: slow
   same: "yes"
 kind: ConfigMap
 metadata:
remove Secret old
-apiVersion: v1
-data: (hidden)
-kind: Secret
-metadata:
-  name: old
`
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}
