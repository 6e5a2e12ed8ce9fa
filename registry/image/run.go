package image

import (
	"time"

	"github.com/davit-dev/davit/registry"
)

// RunResult is what a training's run left in the OCI registry: the model image, and what a ModelVersion says of it.
type RunResult struct {
	// Run is the run's name, Hash that of its resolved spec.
	Run  string
	Hash string
	// Digest is the model image's, sha256:….
	Digest string
	// Version is what the files' headers and the trainer's metrics tell; its files come from the image.
	Version registry.ModelVersionSpec
	Ended   time.Time
}
