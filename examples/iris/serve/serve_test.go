package main

import (
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/davit-dev/davit/examples/iris/safetensors"
)

const registryFiles = "../registry/models/iris/files/"

func newServer(t *testing.T, version string) *httptest.Server {
	t.Helper()
	m, err := loadModel(registryFiles + version)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(newHandler(config{modelName: "iris", modelVersion: version}, m))
	t.Cleanup(server.Close)
	return server
}

func do(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(raw))
}

func TestEndpoints(t *testing.T) {
	url := newServer(t, "v2").URL
	for _, test := range []struct {
		method, path, want string
		status             int
	}{
		{"GET", "/v2", `"name":"davit-iris"`, 200},
		{"GET", "/v2/health/live", "{}", 200},
		{"GET", "/v2/health/ready", "{}", 200},
		{"GET", "/v2/models/iris", `"versions":["v2"]`, 200},
		{"GET", "/v2/models/iris", `{"name":"input","datatype":"FP32","shape":[-1,4]}`, 200},
		{"GET", "/v2/models/iris/ready", "{}", 200},
		{"GET", "/v2/models/rose", "no model named rose", 404},
		{"POST", "/v2/models/rose/infer", "no model named rose", 404},
		{"GET", "/v2/models/iris/infer", "", 405},
		{"GET", "/", "", 404},
	} {
		status, body := do(t, test.method, url+test.path, "")
		if status != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%s %s: %d %s, want %d %s", test.method, test.path, status, body, test.status, test.want)
		}
	}
}

func TestInfer(t *testing.T) {
	// One flower of each species from the test samples.
	const flowers = `{"id":"7","inputs":[{"name":"input","shape":[3,4],"datatype":"FP32",
		"data":[[4.7,3.2,1.3,0.2],[6.9,3.1,4.9,1.5],[7.1,3.0,5.9,2.1]]}]}`
	for _, version := range []string{"v1", "v2"} {
		status, body := do(t, "POST", newServer(t, version).URL+"/v2/models/iris/infer", flowers)
		var answer struct {
			ModelName    string `json:"model_name"`
			ModelVersion string `json:"model_version"`
			ID           string `json:"id"`
			Outputs      []struct {
				Name, Datatype string
				Shape          []int
				Data           json.RawMessage
			}
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 || len(answer.Outputs) != 2 {
			t.Fatalf("%s: %d %s (%v)", version, status, body, err)
		}
		if answer.ModelName != "iris" || answer.ModelVersion != version || answer.ID != "7" {
			t.Errorf("%s: %s", version, body)
		}
		label := answer.Outputs[0]
		if label.Name != "label" || label.Datatype != "BYTES" || len(label.Shape) != 1 || label.Shape[0] != 3 {
			t.Errorf("%s: label output %+v", version, label)
		}
		if want := `["setosa","versicolor","virginica"]`; version == "v2" && string(label.Data) != want {
			t.Errorf("labels %s, want %s", label.Data, want)
		}
		var p []float64
		if err := json.Unmarshal(answer.Outputs[1].Data, &p); err != nil || len(p) != 9 {
			t.Fatalf("%s: probabilities %s (%v)", version, answer.Outputs[1].Data, err)
		}
		for row := 0; row < 9; row += 3 {
			if sum := p[row] + p[row+1] + p[row+2]; math.Abs(sum-1) > 1e-5 {
				t.Errorf("%s: probabilities of row %d sum up to %v", version, row/3, sum)
			}
		}
	}
}

func TestInferChoosesOutputs(t *testing.T) {
	url := newServer(t, "v2").URL + "/v2/models/iris/infer"
	const request = `{"inputs":[{"name":"input","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}],"outputs":[{"name":"label"}]}`
	const want = `{"model_name":"iris","model_version":"v2","outputs":[{"name":"label","shape":[1],"datatype":"BYTES","data":["setosa"]}]}`
	if status, body := do(t, "POST", url, request); status != 200 || body != want {
		t.Errorf("%d %s, want %s", status, body, want)
	}
}

func TestInferRefuses(t *testing.T) {
	url := newServer(t, "v2").URL + "/v2/models/iris/infer"
	in := func(fields string) string { return `{"inputs":[{"name":"input",` + fields + `}]}` }
	for _, test := range []struct{ body, want string }{
		{`{`, "parsing request"},
		{`{}`, "want one input"},
		{`{"inputs":[{"name":"x"}]}`, "want one input"},
		{in(`"datatype":"INT32"`), `datatype \"INT32\"`},
		{in(`"datatype":"FP32","shape":[4],"data":[1,2,3,4]`), "shape [4]"},
		{in(`"datatype":"FP32","shape":[0,4],"data":[]`), "shape [0 4]"},
		{in(`"datatype":"FP32","shape":[2,4],"data":[1,2,3,4]`), "4 values for shape [2 4]"},
		{in(`"datatype":"FP32","shape":[4611686018427387905,4],"data":[1,2,3,4]`), "4 values"},
		{in(`"datatype":"FP32","shape":[1,4],"data":[1,2,3,null]`), "not an array of numbers"},
		{in(`"datatype":"FP32","shape":[1,4],"data":[1,2,3,1e39]`), "does not fit FP32"},
		{`{"inputs":[{"name":"input","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}],"outputs":[{"name":"x"}]}`, "no output"},
		{`{"id":"` + strings.Repeat("x", maxRequestBody) + `"}`, "too large"},
	} {
		if status, body := do(t, "POST", url, test.body); status != 400 || !strings.Contains(body, test.want) {
			t.Errorf("%.80s: %d %s, want %s", test.body, status, body, test.want)
		}
	}
}

func TestParseModelRefuses(t *testing.T) {
	fresh := func() safetensors.File {
		return safetensors.File{
			Metadata: map[string]string{"labels": "a,b"},
			Tensors: map[string]safetensors.Tensor{
				"weight": {Shape: []int{2, 4}, Data: make([]float32, 8)},
				"bias":   {Shape: []int{2}, Data: make([]float32, 2)},
				"mean":   {Shape: []int{4}, Data: make([]float32, 4)},
				"scale":  {Shape: []int{4}, Data: []float32{1, 1, 1, 1}},
			},
		}
	}
	for want, change := range map[string]func(safetensors.File){
		"":                         func(safetensors.File) {},
		"no labels":                func(f safetensors.File) { delete(f.Metadata, "labels") },
		`tensor "mean" is missing`: func(f safetensors.File) { delete(f.Tensors, "mean") },
		"shape [2 4], want [3 4]":  func(f safetensors.File) { f.Metadata["labels"] = "a,b,c" },
		`"bias" has value NaN at 1`: func(f safetensors.File) {
			f.Tensors["bias"].Data[1] = float32(math.NaN())
		},
		`"weight" has value -Inf at 7`: func(f safetensors.File) {
			f.Tensors["weight"].Data[7] = float32(math.Inf(-1))
		},
		"not positive": func(f safetensors.File) { f.Tensors["scale"].Data[2] = 0 },
	} {
		f := fresh()
		change(f)
		raw, err := safetensors.Encode(f)
		if err != nil {
			t.Fatal(err)
		}
		switch _, err := parseModel(raw); {
		case want == "" && err != nil:
			t.Errorf("sound model: %v", err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestPredictStaysFinite(t *testing.T) {
	m, err := loadModel(registryFiles + "v2")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.predict([]float32{math.MaxFloat32, -math.MaxFloat32, math.MaxFloat32, 0}) {
		if notFinite(p) {
			t.Errorf("probability %v", p)
		}
	}
}
