package registry

import "encoding/json"

// What a run's publisher, the last container of its pods, and whoever makes the pods agree on.
const (
	// PublishVariable is the environment variable that holds the run's [RunSpec] as JSON.
	PublishVariable = "DAVIT_PUBLISH"
	// NotAModel is the publisher's exit code for what the trainer left being no model: trying again won't help, so
	// that the run fails at once.
	NotAModel = 3
)

// RunSpec is a run as its publisher knows it: where the model image goes, and what it was made of.
type RunSpec struct {
	// Repository is the OCI repository of the model's images: "<images>/<model>".
	Repository string `json:"repository"`
	Model      string `json:"model"`
	// Training is "model/name".
	Training string `json:"training"`
	// Run is the run's name, Hash that of its resolved spec; see [Training.RunHash].
	Run  string `json:"run"`
	Hash string `json:"hash"`
	// Image is the trainer's, with its digest.
	Image string `json:"image"`
	// BaseVersion is what training started from, "model@version"; empty for from scratch.
	BaseVersion string       `json:"baseVersion,omitempty"`
	Datasets    []RunDataset `json:"datasets,omitempty"`
	// Hyperparameters are by name, as they stand in the training's file.
	Hyperparameters map[string]json.RawMessage `json:"hyperparameters,omitempty"`
	Seed            *int64                     `json:"seed,omitempty"`
}

// RunDataset is a [Dataset] as pods are told of it, in a RunSpec and in DAVIT_DATASETS.
type RunDataset struct {
	Name   string `json:"name"`
	URI    string `json:"uri"`
	SHA256 string `json:"sha256,omitempty"`
}
