package registry

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

// Registry is everything one tree says. It is immutable and safe for concurrent use; registries that
// [Registry.Update] made from one another share what did not change.
type Registry struct {
	Spec RegistrySpec
	// Models are keyed by name, whichever team's they are.
	Models       map[string]*Model
	Teams        map[string]*Team
	Environments map[string]*Environment
	// Runtimes is keyed "name@version".
	Runtimes     map[string]*Runtime
	Accelerators map[string]*Accelerator
	// Trainings holds the sound trainings, keyed "model/name", and BrokenTrainings why the others can't run.
	Trainings       map[string]*Training
	BrokenTrainings map[string][]Fault
	// Releases holds the sound releases, ordered by key.
	Releases []*Release
	// Broken names the releases that exist but have a fault: they stay at their last good revision.
	Broken map[Key][]Fault
	// Faults is every fault found, ordered by path and line.
	Faults []Fault

	fsys fs.FS
	tree *tree

	// What was read, by kind. A release's folder is known by its entries too, ordered by key.
	root         table[root]
	environments table[Environment]
	runtimes     table[Runtime]
	accelerators table[Accelerator]
	teams        table[Team]
	models       table[Model]
	trainings    table[shelf] // named as their model
	folders      table[folder]
	entries      []*entry

	noted     map[string][]Fault // by the folder or Release file they were found in
	conflicts conflicts
	touched   []Key
	hints     *hints // while it is being made
}

// tree is what every release is rendered from.
type tree struct {
	digest       digest   // of davit.yaml
	environments []string // the folders' names, ordered
}

// FS is the tree the registry was read from.
func (r *Registry) FS() fs.FS { return r.fsys }

// Touched lists, in order, the keys (of releases sound, broken or gone) that [Registry.Update] read anew,
// dropped, or found in another state because of another release; all of them after [Load]. Of every other
// key the registry before holds the same *Release. It covers each release that Opens or Owns a changed path.
func (r *Registry) Touched() []Key { return r.touched }

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

// Team owns the models and releases in its folder.
type Team struct {
	Name string
	Path string // of team.yaml
	Spec TeamSpec
}

// Model is a model and its versions.
type Model struct {
	Name     string
	Team     string // "" at the root
	Path     string // of model.yaml
	Spec     ModelSpec
	Versions map[string]*ModelVersion

	faulty []string // versions that exist and have a fault
}

// ModelVersion is one immutable version of a model.
type ModelVersion struct {
	Model string
	Name  string
	Path  string
	Spec  ModelVersionSpec
	// Bad says why the version is not to be promoted any more; nil when it may be.
	Bad *BadVersion
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

	digest  digest
	granted []string // pull secrets, see WithPullSecrets
}

// Runtime is a versioned Kustomize base that can serve a model.
type Runtime struct {
	Name    string
	Version string
	Dir     string // the folder of the base
	Path    string // of runtime.yaml
	Spec    RuntimeSpec

	digest digest
}

func (r *Runtime) String() string { return r.Name + "@" + r.Version }

// Accelerator is a Kustomize component that asks for a kind of GPU.
type Accelerator struct {
	Name string
	Dir  string
	Path string
	Spec AcceleratorSpec

	digest digest
}

// Release is one Serving in one environment at a version, everything resolved.
type Release struct {
	Name        string
	Team        string // "" at the root
	Environment *Environment
	// Serving is davit.yaml's defaults, the Serving and the Release, merged.
	Serving      ServingSpec
	Model        *Model
	ModelVersion *ModelVersion
	Runtime      *Runtime
	Accelerator  *Accelerator // nil without one
	// Dir is the release's folder, releases/<release> at the root or in a team's folder; Path the Release file; ServingPath the Serving file.
	Dir, Path, ServingPath string
	// Components are the folders of the release's own kustomizations, in the order they apply:
	// the release's, then the release's in this environment. Missing ones are left out.
	Components []string
	// Images is the registry's OCI repository prefix.
	Images string
	// VersionLine is the line of Path that names the version.
	VersionLine int
	// Promote is by what davit proposes the next version; nil when it does not.
	Promote *PromoteRule

	tree *tree
}

// Key is the release's environment and name.
func (r *Release) Key() Key { return Key{Environment: r.Environment.Name, Name: r.Name} }

// Repository is the OCI repository of the release's model images.
func (r *Release) Repository() string { return r.Images + "/" + r.Model.Name }

// BrokenKeys is the keys of Broken, ordered.
func (r *Registry) BrokenKeys() []Key { return slices.SortedFunc(maps.Keys(r.Broken), Key.compare) }
