package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// infer answers one request; every error is the caller's fault.
func (m *model) infer(req inferRequest) ([]outputTensor, error) {
	rows, err := readInput(req.Inputs)
	if err != nil {
		return nil, err
	}
	labels := make([]string, 0, len(rows)/features)
	var probabilities []float32
	for row := range slices.Chunk(rows, features) {
		p := m.predict(row)
		labels = append(labels, m.labels[slices.Index(p, slices.Max(p))])
		probabilities = append(probabilities, p...)
	}
	return selectOutputs(req, []outputTensor{
		{labelOutput, []int{len(labels)}, datatypeBytes, labels},
		{probabilityOutput, []int{len(labels), len(m.labels)}, datatypeFP32, probabilities},
	})
}

// readInput returns the rows of the one input, flat.
func readInput(inputs []inputTensor) ([]float32, error) {
	if len(inputs) != 1 || inputs[0].Name != inputName {
		return nil, fmt.Errorf("want one input named %q", inputName)
	}
	in := inputs[0]
	if in.Datatype != datatypeFP32 {
		return nil, fmt.Errorf("input has datatype %q, want %q", in.Datatype, datatypeFP32)
	}
	if len(in.Shape) != 2 || in.Shape[0] < 1 || in.Shape[1] != features {
		return nil, fmt.Errorf("input has shape %v, want [n %d]", in.Shape, features)
	}
	values, err := flatten(nil, in.Data)
	if err != nil {
		return nil, err
	}
	// Dividing, since n times features could overflow.
	if len(values)%features != 0 || len(values)/features != in.Shape[0] {
		return nil, fmt.Errorf("input has %d values for shape %v", len(values), in.Shape)
	}
	return values, nil
}

// flatten appends the numbers in data, whatever their nesting.
func flatten(values []float32, data any) ([]float32, error) {
	switch data := data.(type) {
	case float64:
		if math.Abs(data) > math.MaxFloat32 {
			return nil, fmt.Errorf("input value %v does not fit %s", data, datatypeFP32)
		}
		return append(values, float32(data)), nil
	case []any:
		for _, item := range data {
			var err error
			if values, err = flatten(values, item); err != nil {
				return nil, err
			}
		}
		return values, nil
	}
	return nil, errors.New("input data is not an array of numbers")
}

// selectOutputs keeps those the request asks for, or all if it asks for none.
func selectOutputs(req inferRequest, all []outputTensor) ([]outputTensor, error) {
	if len(req.Outputs) == 0 {
		return all, nil
	}
	var out []outputTensor
	for _, want := range req.Outputs {
		i := slices.IndexFunc(all, func(t outputTensor) bool { return t.Name == want.Name })
		if i < 0 {
			return nil, fmt.Errorf("no output named %q", want.Name)
		}
		out = append(out, all[i])
	}
	return out, nil
}
