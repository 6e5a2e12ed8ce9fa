package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/davit-dev/davit/examples/iris/safetensors"
)

const (
	modelFile = "model.safetensors"
	features  = 4
	// maxModelFile bounds what is read; a model takes some 350 bytes.
	maxModelFile = 1 << 20
)

// model is a softmax regression over standardised features. It is read only
// after loading, so that requests may share it.
type model struct {
	labels      []string
	weight      []float32 // one row of features per label
	bias        []float32 // one per label
	mean, scale []float32 // one per feature
}

// loadModel reads and checks the model in folder. Its errors name the file.
func loadModel(folder string) (*model, error) {
	path := filepath.Join(folder, modelFile)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("opening model: %w", err)
	}
	if info.Size() > maxModelFile {
		return nil, fmt.Errorf("%s: file of %d bytes is above the limit of %d", modelFile, info.Size(), maxModelFile)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading model: %w", err)
	}
	m, err := parseModel(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", modelFile, err)
	}
	return m, nil
}

func parseModel(raw []byte) (*model, error) {
	file, err := safetensors.Decode(raw)
	if err != nil {
		return nil, err
	}
	m := &model{labels: strings.Split(file.Metadata["labels"], ",")}
	if slices.Contains(m.labels, "") {
		return nil, fmt.Errorf("metadata has no labels")
	}
	for _, want := range []struct {
		name  string
		shape []int
		into  *[]float32
	}{
		{"weight", []int{len(m.labels), features}, &m.weight},
		{"bias", []int{len(m.labels)}, &m.bias},
		{"mean", []int{features}, &m.mean},
		{"scale", []int{features}, &m.scale},
	} {
		t, ok := file.Tensors[want.name]
		if !ok {
			return nil, fmt.Errorf("tensor %q is missing", want.name)
		}
		if !slices.Equal(t.Shape, want.shape) {
			return nil, fmt.Errorf("tensor %q has shape %v, want %v", want.name, t.Shape, want.shape)
		}
		if i := slices.IndexFunc(t.Data, notFinite); i >= 0 {
			return nil, fmt.Errorf("tensor %q has value %v at %d", want.name, t.Data[i], i)
		}
		*want.into = t.Data
	}
	if slices.Min(m.scale) <= 0 {
		return nil, fmt.Errorf("tensor %q has a value that is not positive", "scale")
	}
	return m, nil
}

func notFinite(v float32) bool {
	return math.IsNaN(float64(v)) || math.IsInf(float64(v), 0)
}

// predict returns the probability of each label for one row of features.
func (m *model) predict(row []float32) []float32 {
	logits := make([]float64, len(m.labels))
	for c := range logits {
		logits[c] = float64(m.bias[c])
		for i, v := range row {
			x := (float64(v) - float64(m.mean[i])) / float64(m.scale[i])
			logits[c] += float64(m.weight[c*features+i]) * x
		}
	}
	// Without the subtraction a large logit overflows to infinity.
	highest, sum := slices.Max(logits), 0.0
	for c := range logits {
		logits[c] = math.Exp(logits[c] - highest)
		sum += logits[c]
	}
	out := make([]float32, len(logits))
	for c := range out {
		out[c] = float32(logits[c] / sum)
	}
	return out
}
