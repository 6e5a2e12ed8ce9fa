package image

import (
	"encoding/json"
	"time"

	"github.com/davit-dev/davit/registry"
)

// runJSON is a RunResult as it is kept: davits of other versions read it, so its names stay.
type runJSON struct {
	Run     string         `json:"run"`
	Hash    string         `json:"hash"`
	Digest  string         `json:"digest"`
	Version runVersionJSON `json:"version"`
	Ended   time.Time      `json:"ended"`
}

type runVersionJSON struct {
	Format       string             `json:"format,omitempty"`
	Architecture string             `json:"architecture,omitempty"`
	Parameters   int64              `json:"parameters,omitempty"`
	Precision    string             `json:"precision,omitempty"`
	Quantization string             `json:"quantization,omitempty"`
	Opset        int                `json:"opset,omitempty"`
	Files        []runFileJSON      `json:"files"`
	Metrics      map[string]float64 `json:"metrics,omitempty"`
}

type runFileJSON struct {
	Path   string `json:"path"`
	Source string `json:"source"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// MarshalJSON writes what the OCI registry keeps: of the version its files, metrics and what headers tell.
func (r RunResult) MarshalJSON() ([]byte, error) {
	v := r.Version
	out := runJSON{r.Run, r.Hash, r.Digest, runVersionJSON{
		v.Format, v.Architecture, v.Parameters, v.Precision, v.Quantization, v.Opset, make([]runFileJSON, len(v.Files)), v.Metrics,
	}, r.Ended}
	for i, f := range v.Files {
		out.Version.Files[i] = runFileJSON(f)
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *RunResult) UnmarshalJSON(data []byte) error {
	var in runJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	v := in.Version
	*r = RunResult{in.Run, in.Hash, in.Digest, registry.ModelVersionSpec{
		Format: v.Format, Architecture: v.Architecture, Parameters: v.Parameters, Precision: v.Precision,
		Quantization: v.Quantization, Opset: v.Opset, Metrics: v.Metrics,
	}, in.Ended}
	for _, f := range v.Files {
		r.Version.Files = append(r.Version.Files, registry.File(f))
	}
	return nil
}
