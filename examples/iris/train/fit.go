package main

import (
	"errors"
	"math"
	"math/rand/v2"
)

// config says how to train.
type config struct {
	epochs       int
	learningRate float64
	seed         uint64
}

// fit standardises the features and minimises the cross entropy by gradient
// descent over the whole training set, one step an epoch.
func fit(cfg config, training []sample) (model, error) {
	if cfg.epochs < 1 {
		return model{}, errors.New("epochs must be at least 1")
	}
	if !(cfg.learningRate > 0) || math.IsInf(cfg.learningRate, 0) {
		return model{}, errors.New("learning rate must be a positive number")
	}
	m := initial(cfg.seed)
	m.mean, m.scale = moments(training)
	for range cfg.epochs {
		m.step(training, cfg.learningRate)
	}
	return m, nil
}

// initial draws the weights from a normal distribution, so that a model
// that was hardly trained is as poor as it should be.
func initial(seed uint64) model {
	random := rand.New(rand.NewPCG(seed, 0))
	var m model
	for c := range m.weight {
		for i := range m.weight[c] {
			m.weight[c][i] = random.NormFloat64()
		}
	}
	return m
}

// moments are the mean and the standard deviation of each feature.
func moments(samples []sample) (mean, scale [features]float64) {
	n := float64(len(samples))
	for i := range mean {
		for _, s := range samples {
			mean[i] += s.x[i]
		}
		mean[i] /= n
		for _, s := range samples {
			d := s.x[i] - mean[i]
			scale[i] += d * d
		}
		scale[i] = math.Sqrt(scale[i] / n)
	}
	return mean, scale
}

// step moves the parameters once against the gradient of the mean loss.
func (m *model) step(samples []sample, rate float64) {
	var weight [classes][features]float64
	var bias [classes]float64
	for _, s := range samples {
		x := m.standardise(s.x)
		p := m.probabilities(s.x)
		p[s.class]-- // the gradient of the cross entropy by the logits
		for c := range p {
			bias[c] += p[c]
			for i := range x {
				weight[c][i] += p[c] * x[i]
			}
		}
	}
	rate /= float64(len(samples))
	for c := range bias {
		m.bias[c] -= rate * bias[c]
		for i := range weight[c] {
			m.weight[c][i] -= rate * weight[c][i]
		}
	}
}
