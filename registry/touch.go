package registry

import (
	"slices"
	"strings"
)

// Touch is a thing of a registry that a change of files is about.
type Touch struct {
	// Kind is one of the Touched constants, Name what people call it: "production", "vllm@0.12.1", "iris@v3", "iris/weekly".
	Kind, Name string
	// Path is one of its files that changed.
	Path string
}

// The kinds of what a change is about.
const (
	TouchedRegistry    = "registry" // davit.yaml
	TouchedEnvironment = "environment"
	TouchedRuntime     = "runtime"
	TouchedAccelerator = "accelerator"
	TouchedTeam        = "team"
	TouchedModel       = "model"
	TouchedVersion     = "version"
	TouchedMark        = "mark" // of a version as bad
	TouchedCard        = "card" // of a model
	TouchedTraining    = "training"
	TouchedRelease     = "release" // in all environments
)

// Touches says what changed paths are about, each thing once, in the order of the paths. What nobody reads, and the bytes of
// models, are about nothing.
func Touches(paths []string) (all []Touch) {
	known := map[[2]string]bool{}
	for _, name := range paths {
		t := touchOf(name)
		if id := [2]string{t.Kind, t.Name}; t.Kind != "" && !known[id] {
			known[id] = true
			all = append(all, t)
		}
	}
	return slices.Clip(all)
}

// touchOf is the zero Touch of what nobody reads.
func touchOf(name string) Touch {
	k, p, rest := placeOf(name)
	switch k {
	case kindRoot:
		return Touch{TouchedRegistry, "davit.yaml", name}
	case kindEnvironment:
		return Touch{TouchedEnvironment, p.name, name}
	case kindRuntime:
		return Touch{TouchedRuntime, p.name, name}
	case kindAccelerator:
		return Touch{TouchedAccelerator, p.name, name}
	case kindRelease:
		return Touch{TouchedRelease, p.name, name}
	case kindModel:
		return touchOfModel(p.name, rest, name)
	}
	if p, rest, ok := teamOf(name); ok && rest == "team.yaml" {
		return Touch{TouchedTeam, p.name, name}
	}
	return Touch{}
}

func touchOfModel(model, rest, name string) Touch {
	folder, file, _ := strings.Cut(rest, "/")
	stem, isYAML := strings.CutSuffix(file, ".yaml")
	switch {
	case rest == "model.yaml":
		return Touch{TouchedModel, model, name}
	case rest == "README.md":
		return Touch{TouchedCard, model, name}
	case !isYAML || strings.Contains(stem, "/"):
	case folder == "versions":
		return Touch{TouchedVersion, model + "@" + stem, name}
	case folder == "bad":
		return Touch{TouchedMark, model + "@" + stem, name}
	case folder == "training":
		return Touch{TouchedTraining, model + "/" + stem, name}
	}
	return Touch{}
}
