package main

import (
	"math"
	"strings"

	"github.com/davit-dev/davit/examples/iris/safetensors"
)

const classes = 3

// model is a softmax regression over standardised features.
type model struct {
	weight      [classes][features]float64
	bias        [classes]float64
	mean, scale [features]float64
}

// metrics of a model on the test samples.
type metrics struct {
	// Accuracy is the share of right answers, 0 to 1.
	Accuracy float64 `json:"accuracy"`
	// Loss is the mean cross entropy in nats.
	Loss float64 `json:"loss"`
}

func (m *model) standardise(x [features]float64) [features]float64 {
	for i := range x {
		x[i] = (x[i] - m.mean[i]) / m.scale[i]
	}
	return x
}

func (m *model) probabilities(x [features]float64) [classes]float64 {
	x = m.standardise(x)
	p := m.bias
	for c := range p {
		for i := range x {
			p[c] += m.weight[c][i] * x[i]
		}
	}
	// Without the subtraction a large logit overflows to infinity.
	highest, sum := max(p[0], p[1], p[2]), 0.0
	for c := range p {
		p[c] = math.Exp(p[c] - highest)
		sum += p[c]
	}
	for c := range p {
		p[c] /= sum
	}
	return p
}

func (m *model) evaluate(samples []sample) metrics {
	var right, loss float64
	for _, s := range samples {
		p := m.probabilities(s.x)
		loss -= math.Log(p[s.class])
		if p[s.class] == max(p[0], p[1], p[2]) {
			right++
		}
	}
	n := float64(len(samples))
	return metrics{Accuracy: right / n, Loss: loss / n}
}

// encode writes the tensors weight [3,4], bias [3], mean [4] and scale [4],
// and the names of the classes as metadata.
func (m *model) encode() ([]byte, error) {
	var weight []float32
	for _, row := range m.weight {
		weight = append(weight, narrow(row[:])...)
	}
	return safetensors.Encode(safetensors.File{
		Metadata: map[string]string{"labels": strings.Join(labels, ",")},
		Tensors: map[string]safetensors.Tensor{
			"weight": {Shape: []int{classes, features}, Data: weight},
			"bias":   {Shape: []int{classes}, Data: narrow(m.bias[:])},
			"mean":   {Shape: []int{features}, Data: narrow(m.mean[:])},
			"scale":  {Shape: []int{features}, Data: narrow(m.scale[:])},
		},
	})
}

func narrow(values []float64) []float32 {
	out := make([]float32, len(values))
	for i, v := range values {
		out[i] = float32(v)
	}
	return out
}
