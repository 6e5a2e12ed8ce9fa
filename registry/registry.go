package registry

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

// Registry is everything one tree says. It is immutable once loaded and safe for concurrent use.
type Registry struct {
	Spec         RegistrySpec
	Models       map[string]*Model
	Environments map[string]*Environment
	// Runtimes is keyed "name@version".
	Runtimes     map[string]*Runtime
	Accelerators map[string]*Accelerator
	// Releases holds the sound releases, ordered by key.
	Releases []*Release
	// Broken names the releases that exist but have a fault: they stay at their last good revision.
	Broken map[Key][]Fault
	// Faults is every fault found, ordered by path and line.
	Faults []Fault

	fsys fs.FS
}

// FS is the tree the registry was read from.
func (r *Registry) FS() fs.FS { return r.fsys }

// Release returns the sound release of that key, or nil.
func (r *Registry) Release(key Key) *Release {
	i, ok := slices.BinarySearchFunc(r.Releases, key, func(a *Release, k Key) int { return a.Key().compare(k) })
	if !ok {
		return nil
	}
	return r.Releases[i]
}

// Key names a release: "production/iris".
type Key struct{ Environment, Name string }

func (k Key) String() string { return k.Environment + "/" + k.Name }

func (k Key) compare(o Key) int {
	if c := strings.Compare(k.Environment, o.Environment); c != 0 {
		return c
	}
	return strings.Compare(k.Name, o.Name)
}

// ParseKey reads "production/iris".
func ParseKey(s string) (Key, error) {
	env, name, ok := strings.Cut(s, "/")
	if !ok || env == "" || name == "" || strings.Contains(name, "/") {
		return Key{}, fmt.Errorf("%q is not ENV/RELEASE, such as production/iris", s)
	}
	return Key{Environment: env, Name: name}, nil
}

// Model is a model and its versions.
type Model struct {
	Name     string
	Path     string // of model.yaml
	Spec     ModelSpec
	Versions map[string]*ModelVersion
}

// ModelVersion is one immutable version of a model.
type ModelVersion struct {
	Model string
	Name  string
	Path  string
	Spec  ModelVersionSpec
	// FileLines holds the line of Path at which each of Spec.Files stands.
	FileLines []int
}

func (v *ModelVersion) String() string { return v.Model + "@" + v.Name }

// Environment is where releases run.
type Environment struct {
	Name string
	Path string // of environment.yaml
	Spec EnvironmentSpec
	// Component is the folder of the environment's optional kustomization.yaml, or "".
	Component string
}

// Runtime is a versioned Kustomize base that can serve a model.
type Runtime struct {
	Name    string
	Version string
	Dir     string // the folder of the base
	Path    string // of runtime.yaml
	Spec    RuntimeSpec
}

func (r *Runtime) String() string { return r.Name + "@" + r.Version }

// Accelerator is a Kustomize component that asks for a kind of GPU.
type Accelerator struct {
	Name string
	Dir  string
	Path string
	Spec AcceleratorSpec
}

// Release is one Serving in one environment at a version, everything resolved.
type Release struct {
	Name        string
	Environment *Environment
	// Serving is davit.yaml's defaults, the Serving and the Release, merged.
	Serving      ServingSpec
	Model        *Model
	ModelVersion *ModelVersion
	Runtime      *Runtime
	Accelerator  *Accelerator // nil without one
	// Dir is releases/<release>; Path the Release file; ServingPath the Serving file.
	Dir, Path, ServingPath string
	// Components are the folders of the release's own kustomizations, in the order they apply:
	// the release's, then the release's in this environment. Missing ones are left out.
	Components []string
	// Images is the registry's OCI repository prefix.
	Images string
	// VersionLine is the line of Path that names the version.
	VersionLine int

	others []string // the other environments' names
}

// Key is the release's environment and name.
func (r *Release) Key() Key { return Key{Environment: r.Environment.Name, Name: r.Name} }

// Repository is the OCI repository of the release's model images.
func (r *Release) Repository() string { return r.Images + "/" + r.Model.Name }

// BrokenKeys is the keys of Broken, ordered.
func (r *Registry) BrokenKeys() []Key { return slices.SortedFunc(maps.Keys(r.Broken), Key.compare) }
