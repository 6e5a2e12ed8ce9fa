package registry

// RuntimeSpec is runtimes/<name>/<version>/runtime.yaml: how davit's fields reach the base beside it.
//
// In the values of its arguments and variables {model}, {release}, {modelPath}, {port}, {gpus} and {nodes} stand
// for the release's; one that names {gpus} or {nodes} is left out of a release without GPUs, or on one node.
type RuntimeSpec struct {
	// Workload is the object that runs the server: a Deployment, a StatefulSet or an InferenceService.
	Workload ObjectRef `yaml:"workload"`
	// Service is the name of the base's Service; empty when the base has none.
	Service string `yaml:"service"`
	// Container is the server's container within the workload. An InferenceService names its own.
	Container string `yaml:"container"`
	// Port is the container port that answers requests.
	Port int `yaml:"port"`
	// Image is the server's image with its digest, "name@sha256:…". An InferenceService has none: KServe gives it.
	Image string `yaml:"image"`
	// ModelPath is the folder the model's files are seen in; /mnt/model/models when empty.
	ModelPath string `yaml:"modelPath"`
	// Args are arguments every release of this runtime gets; a Serving's args are merged over them.
	Args map[string]Arg `yaml:"args"`
	// Env are variables every release of this runtime gets; a Serving's env is merged over them.
	Env map[string]EnvVar `yaml:"env"`
	// Formats are the model formats it serves, with what each of them adds. It serves any when there are none.
	Formats map[string]RuntimeFormat `yaml:"formats"`
	// Metrics is where Prometheus finds the server's metrics, nowhere when its port is empty, and what they are called.
	Metrics MetricsEndpoint `yaml:"metrics"`
	// MultiNode is how it serves a model on several nodes; it can't when nil.
	MultiNode *MultiNode `yaml:"multiNode"`
}

// ObjectRef names an object of a runtime's base.
type ObjectRef struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Name       string `yaml:"name"`
}

// RuntimeFormat is what a runtime's releases get for a model of that format.
type RuntimeFormat struct {
	Args map[string]Arg    `yaml:"args"`
	Env  map[string]EnvVar `yaml:"env"`
	// KServe is what KServe calls the format; its name when empty.
	KServe string `yaml:"kserve"`
}

// MetricsEndpoint is where a server tells its metrics.
type MetricsEndpoint struct {
	// Port is the name of a port of the runtime's Service.
	Port string `yaml:"port"`
	// Path is /metrics when empty.
	Path     string `yaml:"path"`
	Measures `yaml:",inline"`
}

// MultiNode is a second base for releases on several nodes. It holds a LeaderWorkerSet of the workload's name
// without pod templates, and two Deployments that are never applied: one of the workload's name becomes the
// leader's template and the other the workers', so that Components bend them as they do any Deployment.
type MultiNode struct {
	// Base is the folder, below the runtime's.
	Base string `yaml:"base"`
	// Worker is the name of the workers' Deployment. Its container bears the server's name.
	Worker string `yaml:"worker"`
	// Args are added to Args for the leader; a Serving's args are merged over them.
	Args map[string]Arg `yaml:"args"`
}

// AcceleratorSpec is accelerators/<name>/accelerator.yaml: a kind of GPU. One of its fields is set.
type AcceleratorSpec struct {
	// Resource is the extended resource counted by `gpus`, "nvidia.com/gpu".
	Resource string `yaml:"resource"`
	// Claim is the name of the Component's ResourceClaimTemplate, whose first request's count is `gpus`.
	Claim string `yaml:"claim"`
}
