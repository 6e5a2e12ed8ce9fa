package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/davit-dev/davit/examples/iris/safetensors"
)

const (
	weightsFile = "model.safetensors"
	tensorName  = "lm_head.weight"
	rows        = 2
	columns     = 4
	size        = rows * columns
)

// base are the weights that the training starts from.
func (n *node) base() ([]float64, error) {
	weights := make([]float64, size)
	if n.model == "" {
		return weights, nil
	}
	data, err := os.ReadFile(filepath.Join(n.model, weightsFile))
	if err != nil {
		return nil, err
	}
	file, err := safetensors.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", weightsFile, err)
	}
	from := file.Tensors[tensorName].Data
	if len(from) != size {
		return nil, fmt.Errorf("%s has %d values in %s, want %d", weightsFile, len(from), tensorName, size)
	}
	for i, w := range from {
		weights[i] = float64(w)
	}
	return weights, nil
}

// leave writes the model, with the base's configuration, and what can be said of it.
func (n *node) leave(s state) error {
	tensor := safetensors.Tensor{Shape: []int{rows, columns}}
	for _, w := range s.Weights {
		tensor.Data = append(tensor.Data, float32(w))
	}
	weights, err := safetensors.Encode(safetensors.File{
		Metadata: map[string]string{"format": "pt", "note": "a stand-in: no weights of any model"},
		Tensors:  map[string]safetensors.Tensor{tensorName: tensor},
	})
	if err != nil {
		return err
	}
	metrics, err := json.Marshal(map[string]any{"loss": s.Loss, "steps": s.Step, "nodes": n.nodes})
	if err != nil {
		return err
	}
	files := map[string][]byte{weightsFile: weights, "metrics.json": metrics}
	if n.model != "" {
		config, err := os.ReadFile(filepath.Join(n.model, "config.json"))
		if err == nil {
			files["config.json"] = config
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(n.output, name), data, 0o644); err != nil {
			return err
		}
	}
	n.log.Printf("done: %d bytes of %s, metrics %s", len(weights), weightsFile, metrics)
	return nil
}
