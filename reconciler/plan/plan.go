// Package plan tells people what a change of the registry means before it is merged: which releases get which version,
// which fields of which objects differ, which trainings start, and what the policies say to it. It compares two registries
// and writes text, Markdown or JSON. It knows nothing of Git and clusters: what the files do not tell comes in [Options].
package plan

import (
	"time"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
	"github.com/davit-dev/davit/render"
)

// Options say what is looked at, and what is known beside the files. The zero value looks at everything and knows nothing.
// The functions are called concurrently.
type Options struct {
	// Match chooses releases; all when nil. What is said of an environment as a whole (trainings, policies, quotas) is said
	// where it matches the key with that environment and no name.
	Match func(registry.Key) bool
	// Facts are what is known of a release that is promoted; nothing when nil. Where they name no version that is served, it
	// is the one before.
	Facts func(r *registry.Release) gate.Facts
	// Built tells the digest of a version's model image; "" for one that is known not to be built. Nobody was asked when it
	// is nil, or known is false.
	Built func(v *registry.ModelVersion) (digest string, known bool)
	// Signed says how the image of a release whose environment wants a signature stands, in the words of [gate.Finding];
	// nobody was asked when it is nil.
	Signed func(r *registry.Release) (gate.State, string)
	// Now is the present, by which freezes are looked at; they are not when it is zero.
	Now time.Time
	// Renderer renders; one of its own when nil.
	Renderer *render.Renderer
}

// Plan is what changes. It is for reading: its JSON is stable, and [Plan.Text] and [Plan.Markdown] write it for people.
type Plan struct {
	// Releases are those that change, ordered by key.
	Releases []Release `json:"releases"`
	// Trainings are those that change, ordered by key.
	Trainings []Training `json:"trainings"`
	// Quotas are the GPUs asked for where a policy bounds them and something changes.
	Quotas []Quota `json:"quotas"`
	// Findings are what the policies say, what blocks first.
	Findings []Finding `json:"findings"`
	Totals   Totals    `json:"totals"`
}

// Change is what happens to a release, a training or an object.
type Change string

// The changes.
const (
	Add    Change = "add"
	Modify Change = "change"
	Remove Change = "remove"
	// Broken stays as it is, for it has a fault.
	Broken Change = "broken"
)

// Release is what happens to one release. Of what can't be known its fields are zero.
type Release struct {
	Release string `json:"release"` // ENV/RELEASE
	Change  Change `json:"change"`
	Team    string `json:"team,omitempty"`
	// From and To are versions.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Note says why a release is broken.
	Note string `json:"note,omitempty"`
	// Moved is the team before and after, where a release goes to another: who owns it, and whose quota it counts for.
	Moved *Edit `json:"moved,omitempty"`
	// Model, Runtime, Accelerator, Strategy and Replicas are there where they differ, and of a new release; so are Metrics,
	// Weights and GPUs.
	Model       *Edit    `json:"model,omitempty"`
	Metrics     []Metric `json:"metrics,omitempty"`
	Weights     *Weights `json:"weights,omitempty"`
	Runtime     *Edit    `json:"runtime,omitempty"`
	Accelerator *Edit    `json:"accelerator,omitempty"`
	GPUs        *Count   `json:"gpus,omitempty"`
	Replicas    *Edit    `json:"replicas,omitempty"`
	Strategy    *Edit    `json:"strategy,omitempty"`
	Image       *Image   `json:"image,omitempty"`
	// Shared says that it changes by files of others alone, so that it may have to wait for its wave.
	Shared  bool     `json:"shared,omitempty"`
	Objects []Object `json:"objects"`
}

// Key is the release's environment and name.
func (r Release) Key() registry.Key {
	key, _ := registry.ParseKey(r.Release)
	return key
}

// Edit is a value before and after; "" for none.
type Edit struct {
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Count is a number before and after.
type Count struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// Metric is what a version says of itself, and what the version before said; nil where it says nothing.
type Metric struct {
	Name string   `json:"name"`
	From *float64 `json:"from,omitempty"`
	To   *float64 `json:"to,omitempty"`
}

// Weights are the files of a model when they are others than before.
type Weights struct {
	// From and To describe them in a line; From is "" of a new release.
	From string `json:"from,omitempty"`
	To   string `json:"to"`
	// FromBytes and ToBytes are their sizes.
	FromBytes int64 `json:"fromBytes,omitempty"`
	ToBytes   int64 `json:"toBytes"`
}

// Image is the model image that the release gets.
type Image struct {
	// State is "built", "not built yet", or "not asked" where nobody who knows was asked.
	State string `json:"state"`
	// Digest is that of a built one.
	Digest string `json:"digest,omitempty"`
}

// The states of an image.
const (
	Built    = "built"
	NotBuilt = "not built yet"
	NotAsked = "not asked"
)

// Object is what happens to one Kubernetes object.
type Object struct {
	Change Change `json:"change"`
	// Kind is its kind, and Name its name, in which "…" stands for the hash that names a revision or a generated object.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Fields are those that differ, in the order of their paths; all of an object that is new or goes, as one without path.
	Fields []Field `json:"fields"`
}

// Field is one field before and after.
type Field struct {
	// Path is as kubectl explain has it, list items by their name: spec.template.spec.containers[server].image.
	Path string `json:"path,omitempty"`
	// From and To are as a person writes them in YAML, or YAML of several lines; nil where the field is absent.
	From *string `json:"from,omitempty"`
	To   *string `json:"to,omitempty"`
}

// Training is what happens to one training.
type Training struct {
	Training    string `json:"training"` // MODEL/NAME
	Change      Change `json:"change"`
	Environment string `json:"environment,omitempty"`
	// Run is the name of the run that starts, of a sweep the first one's; "" when none does.
	Run string `json:"run,omitempty"`
	// Runs is how many start of a sweep, those that its matrix did not have before, and AtOnce how many of them may be
	// under way together; 0 without a sweep.
	Runs   int `json:"runs,omitempty"`
	AtOnce int `json:"atOnce,omitempty"`
	// Accelerators is how many of Accelerator a run takes, and Deadline for how long at most.
	Accelerators int    `json:"accelerators,omitempty"`
	Accelerator  string `json:"accelerator,omitempty"`
	Nodes        int    `json:"nodes,omitempty"`
	Deadline     string `json:"deadline,omitempty"`
	// Relocked says that no spec changes: davit, or whoever removed the lock, has it trained on other data.
	Relocked bool `json:"relocked,omitempty"`
	// Schedule is the schedule whose next time it waits for, without a lock that fits.
	Schedule string `json:"schedule,omitempty"`
	// Note says why a training is broken, or starts no run though it is another.
	Note string `json:"note,omitempty"`
}

// Quota is how many GPUs the releases of an environment, or of a team in it, ask for.
type Quota struct {
	Environment string `json:"environment"`
	// Team is nil for all of the environment; the team "" has what is at the root.
	Team  *string `json:"team,omitempty"`
	From  int     `json:"from"`
	To    int     `json:"to"`
	Bound int     `json:"bound"`
}

// Totals count the changes.
type Totals struct {
	Add    int `json:"add"`
	Change int `json:"change"`
	Remove int `json:"remove"`
	Broken int `json:"broken"`
	// Objects are those of all releases.
	Objects struct {
		Add    int `json:"add"`
		Change int `json:"change"`
		Remove int `json:"remove"`
	} `json:"objects"`
	// GPUs is how many more all changed releases ask for, and Runs how many trainings start.
	GPUs int `json:"gpus"`
	Runs int `json:"runs"`
}

// Changes says whether anything is different for releases, trainings or policies.
func (p *Plan) Changes() bool {
	for _, f := range p.Findings {
		if f.Kind == KindPolicy || f.Kind == KindMark || f.Kind == KindVersion {
			return true
		}
	}
	return len(p.Releases)+len(p.Trainings) > 0
}

// Closed says whether a finding keeps something back.
func (p *Plan) Closed() bool { return len(p.Findings) > 0 && p.Findings[0].Level == Blocks }
