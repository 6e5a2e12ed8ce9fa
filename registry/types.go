package registry

import "time"

// APIVersion is the apiVersion of every file of a registry.
const APIVersion = "davit.dev/v1alpha1"

// RegistrySpec is davit.yaml: what holds for the whole repository.
type RegistrySpec struct {
	// Images is the OCI repository prefix below which model images are kept: "<images>/<model>".
	Images string `yaml:"images"`
	// Defaults lies under every Serving and is merged the way a Release is merged over a Serving.
	Defaults ServingSpec `yaml:"defaults"`
	// Owners are the people or groups who answer for what belongs to no team and no model: environments and their
	// policies, runtimes, this file. Nobody when empty.
	Owners []string `yaml:"owners"`
}

// EnvironmentSpec is environments/<env>/environment.yaml: where releases run and by which policy.
type EnvironmentSpec struct {
	// Namespace receives every object of the environment; the environment's name when empty.
	Namespace string `yaml:"namespace"`
	// Capabilities declares what the cluster can do. Rendering never asks the cluster.
	Capabilities Capabilities `yaml:"capabilities"`
	// Runtimes gives the version of a runtime that a Serving names without one.
	Runtimes map[string]string `yaml:"runtimes"`
	// Rollback is the policy after a failure.
	Rollback RollbackPolicy `yaml:"rollback"`
	// Bake is how long a release must stay ready before it counts as healthy; 60 s when zero.
	Bake Duration `yaml:"bake"`
	// Prune bounds deletions.
	Prune PrunePolicy `yaml:"prune"`
	// Fleet says how one change that moves many releases rolls; all at once when it has no waves.
	Fleet FleetPolicy `yaml:"fleet"`
	// Drift is what happens to a field that someone else changed: "correct" (the zero value's meaning) or
	// "report".
	Drift string `yaml:"drift"`
	// Images says what a model image must have to be used here.
	Images ImagePolicy `yaml:"images"`
	// AllowCode names the kinds of code that model files may carry: "pickle", "python". None when empty.
	AllowCode []string `yaml:"allowCode"`
	// Serving is what every release of the environment gets beside its server.
	Serving ServingPolicy `yaml:"serving"`
	// ModelLoader brings the model's files into pods where Kubernetes can't mount an image: before 1.35, unless
	// the feature imageVolume is declared.
	ModelLoader ModelLoader `yaml:"modelLoader"`
	// PullSecrets are Secrets of the environment's namespace, of type kubernetes.io/dockerconfigjson, that the pods of
	// releases and runs name as imagePullSecrets, beside those that a ModelRegistry grants.
	PullSecrets []string `yaml:"pullSecrets"`
	// Publisher makes the model image of what a training left in /output.
	Publisher Publisher `yaml:"publisher"`
	// HealthCheckExprs say when objects of kinds davit has no rule for are healthy.
	HealthCheckExprs []HealthCheck `yaml:"healthCheckExprs"`
	// Promote is the rule of the environment's releases that have none of their own; none when it says from nowhere.
	Promote PromoteRule `yaml:"promote"`
	Policy  `yaml:",inline"`
}

// Capabilities is what an environment's cluster declares.
type Capabilities struct {
	// Kubernetes is the minor version, "1.37"; a current one when empty.
	Kubernetes string `yaml:"kubernetes"`
	// Features names optional APIs: GatewayAPI, JobSet, …
	Features []string `yaml:"features"`
}

// ImagePolicy says what a model image must have.
type ImagePolicy struct {
	// Keys are public keys in PEM; an image must be signed by one of them. Unsigned images are used when empty.
	Keys []string `yaml:"keys"`
	// Provenance says that a SLSA provenance must be attached, signed by one of the keys.
	Provenance bool `yaml:"provenance"`
	// Tag is a tag that follows what is healthy in the environment, "production" say, and goes back with a rollback;
	// none when empty. A release that is not called as its model has "-<release>" added.
	Tag string `yaml:"tag"`
}

// RollbackPolicy says what a failed revision leads to.
type RollbackPolicy struct {
	// OnFailure is "rollback" (the zero value's meaning: back to the last healthy revision) or "hold"
	// (stay, and apply nothing new until the release's own files change).
	OnFailure string `yaml:"onFailure"`
	// Git is "propose" (the zero value's meaning: a branch with the revert, and a pull request where a forge is set up)
	// or "none".
	Git string `yaml:"git"`
	// Logs lets the last lines of a container that failed into notes and comments, where everybody who reads the
	// repository reads them.
	Logs bool `yaml:"logs"`
}

// PrunePolicy bounds what one sync may delete.
type PrunePolicy struct {
	// MaxDeletions is how many releases one commit may remove from the environment; 10 when zero.
	MaxDeletions int `yaml:"maxDeletions"`
}

// TeamSpec is teams/<team>/team.yaml.
type TeamSpec struct {
	// Owners are the people or groups who answer for the team's models and releases; never empty.
	Owners []string `yaml:"owners"`
}

// ModelSpec is models/<model>/model.yaml.
type ModelSpec struct {
	Description string   `yaml:"description"`
	Owners      []string `yaml:"owners"`
	Task        string   `yaml:"task"`
	License     string   `yaml:"license"`
	Inputs      []Tensor `yaml:"inputs"`
	Outputs     []Tensor `yaml:"outputs"`
	// Gates are those of the model's versions by environment, beside what the environment asks for itself.
	Gates map[string]Gates `yaml:"gates"`
}

// Tensor describes one input or output in the Open Inference Protocol's words.
type Tensor struct {
	Name     string `yaml:"name"`
	Datatype string `yaml:"datatype"`
	Shape    []int  `yaml:"shape"`
}

// ModelVersionSpec is models/<model>/versions/<version>.yaml: immutable once merged.
type ModelVersionSpec struct {
	Format string `yaml:"format"`
	// Architecture, Parameters, Precision and Quantization are what the files' own headers tell: "llama", a number,
	// "bf16", "Q4_K_M". davit add writes them.
	Architecture string `yaml:"architecture"`
	Parameters   int64  `yaml:"parameters"`
	Precision    string `yaml:"precision"`
	Quantization string `yaml:"quantization"`
	// Opset is the version of ONNX's operators that an ONNX model needs.
	Opset    int                `yaml:"opset"`
	Files    []File             `yaml:"files"`
	Metrics  map[string]float64 `yaml:"metrics"`
	Datasets []Dataset          `yaml:"datasets"`
	Lineage  Lineage            `yaml:"lineage"`
}

// File is one file of a ModelVersion.
type File struct {
	// Path is the file's slash-separated place in the model, relative, without "..".
	Path string `yaml:"path"`
	// Source is where the bytes come from: a path from the repository's root, or an http, https, s3, gs or azblob URL.
	Source string `yaml:"source"`
	// SHA256 is the content's digest, 64 lower-case hex digits.
	SHA256 string `yaml:"sha256"`
	// Size is the content's length in bytes.
	Size int64 `yaml:"size"`
}

// Dataset is a dataset a version was trained on.
type Dataset struct {
	Name string `yaml:"name"`
	// URI is where it is, without credentials. It may name one state of it, as image.Builder.ResolveDataset writes it:
	// s3://bucket/key?versionId=…, gs://bucket/key?generation=…, azblob://container/key?versionid=…,
	// hf://datasets/organisation/repository@commit/path, oci://host/repository@sha256:….
	URI string `yaml:"uri"`
	// SHA256 is the content's digest, 64 lower-case hex digits, or of a folder of object storage, whose URI ends with a
	// slash, that of its listing, which ResolveDataset tells of.
	SHA256 string `yaml:"sha256"`
}

// Lineage says where a version comes from.
type Lineage struct {
	BaseVersion string `yaml:"baseVersion"`
	TrainedBy   string `yaml:"trainedBy"`
	Commit      string `yaml:"commit"`
}

// ServingSpec is how a model is served: everything but the version.
type ServingSpec struct {
	Model string `yaml:"model"`
	// Runtime is "name" (the environment gives the version) or "name@version".
	Runtime     string `yaml:"runtime"`
	Accelerator string `yaml:"accelerator"`
	// GPUs is how many each node of a replica gets.
	GPUs int `yaml:"gpus"`
	// Nodes is how many pods, each on a node of its own, make one replica; one when zero.
	Nodes     int               `yaml:"nodes"`
	Args      map[string]Arg    `yaml:"args"`
	Env       map[string]EnvVar `yaml:"env"`
	Resources Resources         `yaml:"resources"`
	// Replicas is the base's when nil. Autoscale is its alternative.
	Replicas  *int       `yaml:"replicas"`
	Autoscale *Autoscale `yaml:"autoscale"`
	Rollout   Rollout    `yaml:"rollout"`
	Route     *Route     `yaml:"route"`
	// DependsOn names releases of the same environment that must be healthy at a commit before this one
	// rolls to it. They exist (a broken one does) and never wait for each other in a circle.
	DependsOn []string   `yaml:"dependsOn"`
	SmokeTest *SmokeTest `yaml:"smokeTest"`
}

// SmokeTest is one request that must be answered before a revision counts as healthy.
type SmokeTest struct {
	Path string `yaml:"path"`
	// Body is sent by POST; without one the request is a GET.
	Body string `yaml:"body"`
	// Expect is a text the response must contain; any 2xx response will do when empty.
	Expect string `yaml:"expect"`
}

// ReleaseSpec is releases/<release>/<env>.yaml: the version, and what differs in that environment.
type ReleaseSpec struct {
	Version string `yaml:"version"`
	// Promote is by what davit proposes the next version; the environment's rule when nil.
	Promote     *PromoteRule `yaml:"promote"`
	ServingSpec `yaml:",inline"`
}

// Resources are a container's resources in Kubernetes quantities, by name: cpu, memory.
type Resources map[string]string

// Arg is an argument's value. True stands for a bare `--key`.
type Arg struct {
	Value string
	True  bool
}

// EnvVar is an environment variable: a value, or a key of a Secret in the release's namespace.
type EnvVar struct {
	Value  string
	Secret string
	Key    string
}

// Duration is a time.Duration written as "90s" or "20m".
type Duration time.Duration

// Or returns d, or def when d is zero.
func (d Duration) Or(def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return time.Duration(d)
}
