package registry

import "time"

// TrainingSpec is models/<model>/training/<name>.yaml: what is trained, on what, and where. A change of what the
// result depends on makes another run; see [Training.RunHash].
//
// Pods run as any user but root, without privileges (Pod Security "restricted"). An image that needs another user
// gets it by the training's Component, models/<model>/training/<name>/kustomization.yaml: a patch of the Job
// "training" that sets spec.template.spec.securityContext, to {runAsUser: 1000} or {runAsNonRoot: false} say.
type TrainingSpec struct {
	// Environment is where it runs; never empty.
	Environment string `yaml:"environment"`
	// Image holds the trainer, with its digest: "name@sha256:…".
	Image string `yaml:"image"`
	// Command replaces the image's entrypoint; that runs when empty.
	Command []string `yaml:"command"`
	// Accelerator names a kind of GPU, and GPUs is how many of them each node has.
	Accelerator string `yaml:"accelerator"`
	GPUs        int    `yaml:"gpus"`
	// Nodes is how many pods train together; 1 when zero. They find each other by torchrun's variables.
	Nodes int `yaml:"nodes"`
	// Hyperparameters are the trainer's arguments, ordered: `--k=v`, or `--k` for true. The trainer finds them as JSON
	// in DAVIT_HYPERPARAMETERS too.
	Hyperparameters map[string]Hyperparameter `yaml:"hyperparameters"`
	// Env are variables of the trainer. Those named DAVIT_… are davit's own; torchrun's may be set here.
	Env map[string]EnvVar `yaml:"env"`
	// Resources are each node's, without its GPUs.
	Resources Resources `yaml:"resources"`
	// Datasets are what is trained on. The trainer fetches them: their list is in DAVIT_DATASETS as JSON, and the
	// URI of each in DAVIT_DATASET_<NAME>.
	Datasets []Dataset `yaml:"datasets"`
	// Seed is in DAVIT_SEED; the trainer chooses when nil.
	Seed *int64 `yaml:"seed"`
	// BaseVersion is the version that training starts from: "v1" of the same model, or "model@v1". Its files are
	// mounted read-only at DAVIT_MODEL_PATH. From scratch when empty.
	BaseVersion string `yaml:"baseVersion"`
	// Queue is a Kueue LocalQueue of the environment's namespace, which must declare the feature kueue.
	Queue string `yaml:"queue"`
	// Priority is a Kueue WorkloadPriorityClass with a Queue, and a PriorityClass of the pods without.
	Priority string `yaml:"priority"`
	// Topology places the pods together, by Kueue.
	Topology Topology `yaml:"topology"`
	// Checkpoints is where the trainer keeps what it resumes from; nowhere that lasts when nil.
	Checkpoints *Checkpoints `yaml:"checkpoints"`
	// Retries is how many failures, of the trainer and not of its node, are followed by another attempt. An attempt
	// of several nodes fails and begins as one.
	Retries int `yaml:"retries"`
	// FatalExitCodes of the trainer end the run at once, whatever Retries says. When nil they are 2 (wrong usage: by
	// argparse, getopt and shells), 126 and 127 (the command can't be run, or is not there); an empty list has none.
	FatalExitCodes []int `yaml:"fatalExitCodes"`
	// Deadline bounds the run, all its attempts together, by the wall clock; [DefaultDeadline] when zero. Time that Kueue
	// holds it back does not count. A JobSet has no deadline of its own: each attempt has this one, and davit ends the run.
	Deadline Duration `yaml:"deadline"`
	// TTL is how long the finished run's objects stay; [DefaultTTL] when zero.
	TTL Duration `yaml:"ttl"`
	// Version is what the version is called that a run makes: a pattern with {run} for the run's name, {date} for the
	// day of its end (20061102, UTC) and {n} for the first number that is free; "{run}" when empty.
	Version string `yaml:"version"`
	// Attempt has a spec run once more that ran before: another number is another run.
	Attempt int `yaml:"attempt"`
	// OnRemove is what becomes of a run under way when its spec is removed or changed: "keep", also when empty, or
	// "cancel".
	OnRemove string `yaml:"onRemove"`
	// Schedule has it trained again and again, each time on what its datasets are then; once when nil.
	Schedule *Schedule `yaml:"schedule"`
	// Sweep has it trained once for each combination of hyperparameters, of which the best makes a version.
	Sweep *Sweep `yaml:"sweep"`
	// Merge is what becomes of a version's pull request: "review", also when empty, or "auto", which the environment's
	// autoMerge must allow. No gate is asked: a version that is in the registry serves nothing, and gates are asked when it
	// is promoted.
	Merge string `yaml:"merge"`
	// Keep is how many of the versions that it made stay in the registry, the newest, beside those that something
	// refers to: a release or its open promotion, a training's baseVersion, an approval, evidence, a mark as bad. The
	// others go with the pull request of the next version, and their images stay. All of them stay when zero.
	Keep int `yaml:"keep"`
	// Output bounds the folder /output, which the trainer leaves the model's files in, as a quantity of bytes. It is
	// the node's disk that bounds it when empty. The environment's publisher makes the model image of it.
	Output Quantity `yaml:"output"`
}

// What holds for a training that says nothing of it.
const (
	DefaultDeadline = 24 * time.Hour
	DefaultTTL      = 24 * time.Hour
)

// Topology is a level of the cluster's topology, by its node label, that all pods of a run share: one of the two.
type Topology struct {
	// Required keeps the run waiting until it fits.
	Required string `yaml:"required"`
	// Preferred spreads it wider when it does not fit.
	Preferred string `yaml:"preferred"`
}

// Checkpoints is a place that outlives pods. Each run has a folder of its own in it, by its name, and finds the
// place, Path or the URI's folder, in DAVIT_CHECKPOINTS.
type Checkpoints struct {
	// Claim is a PersistentVolumeClaim, which several nodes need to write to at once; mounted at Path,
	// "/checkpoints" when empty.
	Claim string `yaml:"claim"`
	Path  string `yaml:"path"`
	// URI is a folder of an object store, without credentials; the trainer reads and writes it by itself.
	URI string `yaml:"uri"`
}

// Schedule is when a training begins anew. At each of its times davit resolves the datasets to what does not change, and
// commits that as the training's lock, [Lock]; a changed lock is another run.
type Schedule struct {
	// Cron is the five fields of crontab(5), in Timezone, a name of the IANA database; UTC when empty.
	Cron     string `yaml:"cron"`
	Timezone string `yaml:"timezone"`
	// Unchanged is what happens when the datasets are what they were: "skip", also when empty, or "train".
	Unchanged string `yaml:"unchanged"`
}

// Lock is models/<model>/training/<name>.lock.yaml, kind TrainingLock, which davit writes: what a scheduled training is
// trained on. Without one, or with one that the training's datasets do not fit any more, it waits for its next time.
type Lock struct {
	// Tick is the schedule's time that it was resolved for, in UTC. It is in the run's hash only where the schedule says
	// unchanged: train.
	Tick time.Time `yaml:"tick"`
	// Datasets are the training's, in its order.
	Datasets []LockedDataset `yaml:"datasets"`
}

// LockedDataset is a dataset at one time.
type LockedDataset struct {
	Name string `yaml:"name"`
	// From is the URI as the training has it.
	From string `yaml:"from"`
	// URI and SHA256 are what it was then, and never changes.
	URI    string `yaml:"uri"`
	SHA256 string `yaml:"sha256"`
}

// Sweep are the trials of one training.
type Sweep struct {
	// Hyperparameters are the values of each; a trial takes one of each, over the training's own hyperparameters: what
	// those say of the same name counts for nothing.
	Hyperparameters map[string][]Hyperparameter `yaml:"hyperparameters"`
	// Parallel is how many runs of the training may be under way at once, those of an earlier spec with them; any number
	// when zero.
	Parallel int `yaml:"parallel"`
	// Metric decides which trial is the best, the one with the most of it, or with the least where Goal is "min"; "max"
	// when Goal is empty. Only the best makes a version, once all have ended.
	Metric string `yaml:"metric"`
	Goal   string `yaml:"goal"`
}

// Hyperparameter is an argument, and its value as JSON: a number or boolean where YAML reads one, else a string.
type Hyperparameter struct {
	Arg
	JSON string
}

// Quantity is an amount as Kubernetes writes it: "50Gi".
type Quantity string

// Training is a sound training spec, everything resolved.
type Training struct {
	Model string
	Name  string
	Team  string // "" at the root
	Path  string
	Spec  TrainingSpec
	// Lock is what davit resolved its datasets to last; nil where there is no such file.
	Lock *Lock
	// Environment is where it runs.
	Environment *Environment
	Accelerator *Accelerator  // nil without one
	BaseVersion *ModelVersion // nil without one
	// Dir may hold the training's own Component; Component is it, or "" without one.
	Dir, Component string
	// Images is the registry's OCI repository prefix.
	Images string
	// TrialOf is the training whose sweep this is a trial of; see Trials. Nil for a training as its file has it.
	TrialOf *Training
}

// Key is "model/name".
func (t *Training) Key() string { return t.Model + "/" + t.Name }

// Nodes is how many pods train together, at least 1.
func (t *Training) Nodes() int { return max(t.Spec.Nodes, 1) }

// Indexed says whether the pods have numbers and names: with several of them.
func (t *Training) Indexed() bool { return t.Nodes() > 1 }

// FatalExitCodes are the spec's, or those that hold without any.
func (t *Training) FatalExitCodes() []int {
	if t.Spec.FatalExitCodes == nil {
		return []int{2, 126, 127}
	}
	return t.Spec.FatalExitCodes
}

// BaseRepository is the OCI repository of BaseVersion's model images, or "".
func (t *Training) BaseRepository() string {
	if t.BaseVersion == nil {
		return ""
	}
	return t.Images + "/" + t.BaseVersion.Model
}

// Repository is the OCI repository of the images of the version that the training makes.
func (t *Training) Repository() string { return t.Images + "/" + t.Model }
