package web_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/davit-dev/davit/reconciler/web"
)

// description is the API's, as it is served.
func description(t *testing.T) []byte {
	t.Helper()
	data, err := json.Marshal(web.Description())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestDescription holds the description against the OpenAPI Initiative's own schema of version 3.1, and each schema in it
// against JSON Schema's.
func TestDescription(t *testing.T) {
	file, err := os.ReadFile("testdata/openapi-3.1.json")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := jsonschema.CompileString("openapi.json", string(file))
	if err != nil {
		t.Fatal(err)
	}
	var d any
	if err := json.Unmarshal(description(t), &d); err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(d); err != nil {
		t.Errorf("%#v", err)
	}
	for name := range d.(map[string]any)["components"].(map[string]any)["schemas"].(map[string]any) {
		compiled(t, "#/components/schemas/"+name)
	}
	d.(map[string]any)["paths"].(map[string]any)["/x"] = map[string]any{"get": map[string]any{"parameters": "many"}}
	if err := schema.Validate(d); err == nil {
		t.Error("the test does not see a fault")
	}
}

// compiled is a part of the description as a JSON Schema.
func compiled(t *testing.T, part string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.Draft, c.AssertFormat = jsonschema.Draft2020, true
	if err := c.AddResource("api.json", bytes.NewReader(description(t))); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("api.json" + part)
	if err != nil {
		t.Fatalf("%s: %v", part, err)
	}
	return schema
}

// TestAnswers holds what each view really answers against its schema.
func TestAnswers(t *testing.T) {
	w := look(t)
	values := strings.NewReplacer("{registry}", name, "{model}", "iris", "{training}", "softmax", "{run}", w.run(t), "{environment}", "production", "{release}", "iris")
	var d struct {
		Paths map[string]struct {
			Get struct {
				Responses map[string]struct {
					Content map[string]struct{ Schema any }
				}
			}
		}
	}
	if err := json.Unmarshal(description(t), &d); err != nil {
		t.Fatal(err)
	}
	for path, p := range d.Paths {
		if len(p.Get.Responses) == 0 {
			continue // it is a POST
		}
		if _, streams := p.Get.Responses["200"].Content["text/event-stream"]; streams {
			continue // its own test reads it
		}
		t.Run(path, func(t *testing.T) {
			part := "#/paths/" + strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(path) + "/get/responses/200/content/application~1json/schema"
			schema := compiled(t, part)
			answer, status := w.get(t, values.Replace(path))
			var data any
			if err := json.Unmarshal(answer, &data); err != nil || status != http.StatusOK {
				t.Fatalf("%d %v: %.300s", status, err, answer)
			}
			if err := schema.Validate(data); err != nil {
				t.Errorf("%#v\n%.2000s", err, answer)
			}
		})
	}
	schema := compiled(t, "#/components/schemas/Problem")
	for _, path := range []string{"/nowhere/releases", "/" + name + "/releases?from=x", "/" + name + "/trainings/iris/softmax/none"} {
		answer, status := w.get(t, "/api/v1/registries"+path)
		var data any
		if err := json.Unmarshal(answer, &data); err != nil || status < 400 || schema.Validate(data) != nil {
			t.Errorf("%s: %d %v: %s", path, status, err, answer)
		}
	}
}

func (w *world) get(t *testing.T, path string) ([]byte, int) {
	t.Helper()
	answer, err := http.Get(w.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body, answer.StatusCode
}
