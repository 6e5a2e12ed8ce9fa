package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/davit-dev/davit/examples/iris/safetensors"
)

// weak and good are the trainings of v1 and v2 of the example registry.
var (
	weak = config{epochs: 2, learningRate: 0.5, seed: 2}
	good = config{epochs: 1000, learningRate: 0.5, seed: 2}
)

const registryFiles = "../registry/models/iris/files"

func train(t *testing.T, cfg config) (weights []byte, result metrics) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "output")
	if err := run(cfg, dir); err != nil {
		t.Fatal(err)
	}
	report := readFile(t, filepath.Join(dir, "metrics.json"))
	if err := json.Unmarshal(report, &result); err != nil {
		t.Fatal(err)
	}
	return readFile(t, filepath.Join(dir, "model.safetensors")), result
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestDataIsWhole(t *testing.T) {
	samples, err := readSamples(irisCSV)
	if err != nil {
		t.Fatal(err)
	}
	training, test := split(samples)
	if len(training) != 100 || len(test) != 50 {
		t.Errorf("split %d and %d, want 100 and 50", len(training), len(test))
	}
	var perClass [classes]int
	for _, s := range samples {
		perClass[s.class]++
	}
	if perClass != [classes]int{50, 50, 50} {
		t.Errorf("samples per class %v", perClass)
	}
}

func TestTrainingIsDeterministic(t *testing.T) {
	first, _ := train(t, weak)
	second, _ := train(t, weak)
	if !bytes.Equal(first, second) {
		t.Error("two trainings with equal flags differ")
	}
	other := weak
	other.seed++
	if third, _ := train(t, other); bytes.Equal(first, third) {
		t.Error("the seed changes nothing")
	}
}

func TestAccuracy(t *testing.T) {
	_, poor := train(t, weak)
	_, fine := train(t, good)
	if poor.Accuracy != 0.72 || fine.Accuracy != 0.96 {
		t.Errorf("accuracies %v and %v, the version files say 0.72 and 0.96", poor.Accuracy, fine.Accuracy)
	}
	if poor.Loss <= fine.Loss {
		t.Errorf("loss %v of the weak model is not above %v", poor.Loss, fine.Loss)
	}
}

// TestRegistryModels allows for rounding: where the compiler fuses a
// multiplication with an addition, training ends in other last bits.
func TestRegistryModels(t *testing.T) {
	for version, cfg := range map[string]config{"v1": weak, "v2": good} {
		raw, _ := train(t, cfg)
		want, err := safetensors.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		got, err := safetensors.Decode(readFile(t, filepath.Join(registryFiles, version, "model.safetensors")))
		if err != nil {
			t.Fatal(err)
		}
		for name, tensor := range want.Tensors {
			if !near(tensor.Data, got.Tensors[name].Data) {
				t.Errorf("%s: tensor %q is %v, training gives %v", version, name, got.Tensors[name].Data, tensor.Data)
			}
		}
	}
}

func near(a, b []float32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Abs(float64(a[i]-b[i])) > 1e-4 {
			return false
		}
	}
	return true
}

func TestRunRefuses(t *testing.T) {
	for want, cfg := range map[string]config{
		"epochs":        {epochs: 0, learningRate: 1},
		"learning rate": {epochs: 1, learningRate: math.NaN()},
		"diverged":      {epochs: 3, learningRate: 1e300},
	} {
		dir := t.TempDir()
		if err := run(cfg, dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", cfg, err, want)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("%+v: left %v", cfg, left)
		}
	}
}

func TestReadSamplesRefuses(t *testing.T) {
	for want, text := range map[string]string{
		"row 1: 2 columns":               "a,b\n1,setosa\n",
		`row 1: unknown species "tulip"`: "a,b,c,d,e\n1,2,3,4,tulip\n",
		"row 1: strconv":                 "a,b,c,d,e\n1,2,3,x,setosa\n",
	} {
		if _, err := readSamples(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
