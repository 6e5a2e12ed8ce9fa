package main

// The messages of the Open Inference Protocol v2, as far as this server uses
// them (https://github.com/kserve/open-inference-protocol, inference_rest.md).

type inferRequest struct {
	ID      string        `json:"id"`
	Inputs  []inputTensor `json:"inputs"`
	Outputs []struct {
		Name string `json:"name"`
	} `json:"outputs"`
}

// inputTensor carries its data flat or nested, both in row-major order.
type inputTensor struct {
	Name     string `json:"name"`
	Shape    []int  `json:"shape"`
	Datatype string `json:"datatype"`
	Data     any    `json:"data"`
}

type inferResponse struct {
	ModelName    string         `json:"model_name"`
	ModelVersion string         `json:"model_version,omitempty"`
	ID           string         `json:"id,omitempty"`
	Outputs      []outputTensor `json:"outputs"`
}

// outputTensor's Data is []string for BYTES and []float32 for FP32.
type outputTensor struct {
	Name     string `json:"name"`
	Shape    []int  `json:"shape"`
	Datatype string `json:"datatype"`
	Data     any    `json:"data"`
}

type modelMetadata struct {
	Name     string           `json:"name"`
	Versions []string         `json:"versions,omitempty"`
	Platform string           `json:"platform"`
	Inputs   []tensorMetadata `json:"inputs"`
	Outputs  []tensorMetadata `json:"outputs"`
}

// tensorMetadata's Shape has -1 where a dimension may vary.
type tensorMetadata struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape"`
}

const (
	inputName         = "input"
	labelOutput       = "label"
	probabilityOutput = "probabilities"
	datatypeFP32      = "FP32"
	datatypeBytes     = "BYTES"
	variable          = -1
	modelPlatform     = "davit_iris"
	maxRequestBody    = 1 << 20
	contentType       = "application/json"
	serverName        = "davit-iris"
	serverVersion     = "0.1.0"
)

func (m *model) metadata(cfg config) modelMetadata {
	out := modelMetadata{
		Name:     cfg.modelName,
		Platform: modelPlatform,
		Inputs:   []tensorMetadata{{inputName, datatypeFP32, []int{variable, features}}},
		Outputs: []tensorMetadata{
			{labelOutput, datatypeBytes, []int{variable}},
			{probabilityOutput, datatypeFP32, []int{variable, len(m.labels)}},
		},
	}
	if cfg.modelVersion != "" {
		out.Versions = []string{cfg.modelVersion}
	}
	return out
}
