// Command train fits a softmax regression to Fisher's Iris data and writes
// model.safetensors and metrics.json into a folder, /output by default: what
// a davit Training expects of its container.
//
// It is the small end of real training: a fixed data set and split, a seed,
// a few milliseconds. Equal flags give equal files.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
)

func main() {
	var cfg config
	out := flag.String("out", "/output", "folder to write model.safetensors and metrics.json to")
	flag.IntVar(&cfg.epochs, "epochs", 1000, "passes over the training data")
	flag.Float64Var(&cfg.learningRate, "learning-rate", 0.5, "size of a gradient step")
	flag.Uint64Var(&cfg.seed, "seed", 1, "seed of the initial weights")
	flag.Parse()
	if err := run(cfg, *out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run trains and writes the results to out, which it creates if need be.
func run(cfg config, out string) error {
	samples, err := readSamples(irisCSV)
	if err != nil {
		return fmt.Errorf("reading iris data: %w", err)
	}
	training, test := split(samples)
	m, err := fit(cfg, training)
	if err != nil {
		return err
	}
	result := m.evaluate(test)
	if math.IsNaN(result.Loss) || math.IsInf(result.Loss, 0) {
		return fmt.Errorf("training diverged at learning rate %g: lower it", cfg.learningRate)
	}
	fmt.Printf("epochs %d: accuracy %.4f, loss %.4f on %d test samples\n", cfg.epochs, result.Accuracy, result.Loss, len(test))
	return write(out, m, result)
}

func write(out string, m model, result metrics) error {
	weights, err := m.encode()
	if err != nil {
		return fmt.Errorf("encoding model: %w", err)
	}
	report, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("encoding metrics: %w", err)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("creating output folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(out, "model.safetensors"), weights, 0o644); err != nil {
		return fmt.Errorf("writing model: %w", err)
	}
	if err := os.WriteFile(filepath.Join(out, "metrics.json"), append(report, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing metrics: %w", err)
	}
	return nil
}
