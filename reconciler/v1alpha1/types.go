package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// ModelRelease is the state of one release in one environment. It is named "<environment>.<release>", lives
// in the environment's namespace, and is the ApplySet parent (KEP-3659) of the release's objects.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=mr,categories=davit
// +kubebuilder:metadata:labels="applyset.kubernetes.io/is-parent-type=true"
// +kubebuilder:printcolumn:name="Model",type=string,JSONPath=`.status.model`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.applied.version`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.claim.version`,priority=1
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Revision",type=string,JSONPath=`.status.revision`
// +kubebuilder:printcolumn:name="Author",type=string,JSONPath=`.status.author`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.reason`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`,priority=1
// +kubebuilder:printcolumn:name="Pinned",type=string,JSONPath=`.status.pinned`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ModelRelease struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec ModelReleaseSpec `json:"spec"`
	// +optional
	// +kubebuilder:default:={"observedGeneration":-1}
	Status ModelReleaseStatus `json:"status,omitzero"`
}

// ModelReleaseList is a page of ModelReleases.
//
// +kubebuilder:object:root=true
type ModelReleaseList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ModelRelease `json:"items"`
}

// ModelReleaseSpec names the release, says who is taking it where, and what people asked of it. A change of it
// raises the generation, so that kstatus and kubectl wait call the release in progress until the status answers.
type ModelReleaseSpec struct {
	// Environment is the name of the environment, as in the registry.
	// +kubebuilder:validation:MinLength=1
	Environment string `json:"environment"`
	// Release is the name of the release, as in the registry.
	// +kubebuilder:validation:MinLength=1
	Release string `json:"release"`
	// Owner is the registry and controller that write this release; others refuse.
	// +optional
	Owner string `json:"owner,omitempty"`
	// Claim is the revision being applied, or last applied. davit writes it before it applies anything.
	// +optional
	Claim Claim `json:"claim,omitzero"`
	// DeletionPolicy says what becomes of the release's objects when a person deletes this ModelRelease while davit runs: by
	// Orphan (also when empty) they stay and are taken up again by the next look; by Delete they are deleted, and applied
	// anew as long as the registry asks for the release. Either way the new ModelRelease knows nothing of holds, pins,
	// suspensions and this policy. There is no finalizer: without a running davit they stay, and so they do when the
	// namespace or davit's CRDs are deleted.
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
	// Suspend, when set, keeps davit from applying, correcting or rolling back anything of this release.
	// +optional
	Suspend *Suspend `json:"suspend,omitempty"`
	// Pin, when set, is the revision a person chose, whatever the branch asks for. It ends with the next change of the
	// release's own files after it, or by davit resume.
	// +optional
	Pin *Pin `json:"pin,omitempty"`
	// Request is what a person asked for last; status.answered says when it was taken up.
	// +optional
	Request *Request `json:"request,omitempty"`
}

// Suspend says who stopped a release, until when, and why.
type Suspend struct {
	// Until ends it by itself; never when absent.
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
	// +optional
	By string `json:"by,omitempty"`
	// +optional
	Reason string `json:"reason,omitempty"`
}

// Pin is a revision a person chose.
type Pin struct {
	// Commit is the full hash of the commit the release is rendered from, shared files included.
	Commit string `json:"commit"`
	// Version, when set, takes the place of the version that the release has at Commit.
	// +optional
	Version string `json:"version,omitempty"`
	// Tip is the full hash of the branch's commit when the release was pinned: a later one that changes a file of the
	// release's own ends the pin.
	// +optional
	Tip string `json:"tip,omitempty"`
	// +optional
	By string `json:"by,omitempty"`
	// +optional
	// +kubebuilder:validation:MaxLength=1000
	Reason string `json:"reason,omitempty"`
	// At tells one pin from another.
	At metav1.MicroTime `json:"at"`
}

// Action is what a person can ask of a release.
//
// +kubebuilder:validation:Enum=Retry;Resume
type Action string

// The actions.
const (
	// Retry renders and applies the release again at once; a held revision stays held.
	Retry Action = "Retry"
	// Resume ends a hold: the held revision, or what came after it, is tried again.
	Resume Action = "Resume"
)

// Request is one action asked for.
type Request struct {
	Action Action `json:"action"`
	// At tells one request from another.
	At metav1.MicroTime `json:"at"`
	// +optional
	By string `json:"by,omitempty"`
}

// ModelReleaseStatus is what davit knows of a release.
type ModelReleaseStatus struct {
	// Token is that of the claim this status answers; with another one in the spec, an apply is under way or was
	// cut off.
	// +optional
	Token int64 `json:"token,omitempty"`
	// Answered is the time of the last request that was taken up.
	// +optional
	Answered metav1.MicroTime `json:"answered,omitzero"`
	// PullSecrets are those that the grant adds to what the pods of Applied pull their images with.
	// +optional
	// +listType=atomic
	PullSecrets []string `json:"pullSecrets,omitempty"`
	// Applied is the revision whose objects are in the cluster.
	// +optional
	Applied Revision `json:"applied,omitzero"`
	// Healthy is the last revision that stayed healthy for the bake time.
	// +optional
	Healthy Revision `json:"healthy,omitzero"`
	// Held is the revision that failed and is held back.
	// +optional
	Held *HeldRevision `json:"held,omitempty"`
	// Pinned is the version and commit that a person pinned the release to, as long as that lasts.
	// +optional
	Pinned string `json:"pinned,omitempty"`
	// Promotion is the next version that davit proposed by a rule.
	// +optional
	Promotion *Promotion `json:"promotion,omitempty"`
	// +optional
	Phase Phase `json:"phase,omitempty"`
	// Revision is that of Applied, "branch@sha1:<12 hex>".
	// +optional
	Revision string `json:"revision,omitempty"`
	// Author is who wrote the commit of Applied.
	// +optional
	Author string `json:"author,omitempty"`
	// Model is the name of the model.
	// +optional
	Model string `json:"model,omitempty"`
	// Serving is what the environment's Prometheus said of the release last; absent where there is none.
	// +optional
	Serving *ServingMetrics `json:"serving,omitempty"`
	// Drift lists objects that others changed, when the environment's policy is only to report it.
	// +optional
	// +listType=atomic
	Drift []string `json:"drift,omitempty"`
	// Traffic is where a progressive rollout stands; absent where revisions share the workload.
	// +optional
	Traffic *Traffic `json:"traffic,omitempty"`
	// Reason is one CamelCase word for Phase, Message a sentence.
	// +optional
	Reason string `json:"reason,omitempty"`
	// +optional
	Message string `json:"message,omitempty"`
	// Inventory lists the release's objects.
	// +optional
	// +listType=atomic
	Inventory []ObjectRef `json:"inventory,omitempty"`
	// Outcomes are the last five, newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=5
	Outcomes []Outcome `json:"outcomes,omitempty"`
	// Conditions are Ready, Reconciling and Stalled, as kstatus reads them; and Suspended, once it was.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// ObservedGeneration is the generation of the spec this status answers.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// ServingMetrics summarise what a release's pods served in a window of time. Values are decimal text; one that the
// runtime does not tell, or that had no sample, is absent.
type ServingMetrics struct {
	// At is when it was asked, Window the time before it that counts. It is asked each minute, and written again when a
	// number differs by more than a fifth: older ones hold still, but for that.
	At     metav1.Time     `json:"at"`
	Window metav1.Duration `json:"window"`
	// Requests per second, and Errors of them as a share from 0 to 1.
	// +optional
	Requests string `json:"requests,omitempty"`
	// +optional
	Errors string `json:"errors,omitempty"`
	// Latency is the 95th percentile of a whole answer, TTFT that of the time to its first token; in seconds. While a
	// revision replaces another they are those of the worse one.
	// +optional
	Latency string `json:"latency,omitempty"`
	// +optional
	TTFT string `json:"ttft,omitempty"`
	// Tokens generated per second.
	// +optional
	Tokens string `json:"tokens,omitempty"`
	// Message says why there are none, or which are missing.
	// +optional
	Message string `json:"message,omitempty"`
}

// Phase is where a release stands.
//
// +kubebuilder:validation:Enum=Progressing;Waiting;Healthy;Failed;RolledBack;Held;Superseded;Pinned
type Phase string

// The phases of a release.
const (
	Progressing Phase = "Progressing"
	Waiting     Phase = "Waiting" // not ready for a reason outside the revision
	Healthy     Phase = "Healthy"
	Failed      Phase = "Failed" // not ready for a cause inside the revision
	RolledBack  Phase = "RolledBack"
	Held        Phase = "Held"
)

// What is an outcome and never a phase.
const (
	// Superseded is the outcome of a revision replaced before it settled.
	Superseded Phase = "Superseded"
	// Pinned is the outcome of a revision that a person turned away from.
	Pinned Phase = "Pinned"
)

// The types of a ModelRelease's conditions.
const (
	ConditionReady       = "Ready"
	ConditionReconciling = "Reconciling"
	ConditionStalled     = "Stalled"
	// ConditionSuspended is there where a release, or the following of a registry, is or was suspended.
	ConditionSuspended = "Suspended"
)

// ConditionNotified is of a ModelRegistry with notifications: whether its receivers take what they are sent.
const ConditionNotified = "Notified"

// ConditionRecorded is of a ModelRegistry: whether outcomes reach Git.
const ConditionRecorded = "Recorded"

// ConditionPullSecrets is of a ModelRegistry that grants some: whether they are in the environments' namespaces.
const ConditionPullSecrets = "PullSecrets"

// Claim says which revision a controller set out to apply.
type Claim struct {
	// Token grows with each claim (a fencing token).
	// +optional
	Token int64 `json:"token,omitempty"`
	// Commit is the full hash.
	// +optional
	Commit string `json:"commit,omitempty"`
	// Version is the model version.
	// +optional
	Version string `json:"version,omitempty"`
	// Holder is the controller process that claimed.
	// +optional
	Holder string `json:"holder,omitempty"`
	// +optional
	Time metav1.Time `json:"time,omitzero"`
}

// Revision is a commit at which the release rendered to other objects than before.
type Revision struct {
	// Commit is the full hash.
	// +optional
	Commit string `json:"commit,omitempty"`
	// Version is the model version.
	// +optional
	Version string `json:"version,omitempty"`
	// GPUs is how many GPUs the release asks for at most.
	// +optional
	GPUs int32 `json:"gpus,omitempty"`
	// Urgent is by whom it went through a freeze; absent when it did not.
	// +optional
	Urgent *Urgent `json:"urgent,omitempty"`
	// Image is the model image by digest.
	// +optional
	Image string `json:"image,omitempty"`
	// ObjectsHash is the hash of the rendered objects' bytes.
	// +optional
	ObjectsHash string `json:"objectsHash,omitempty"`
	// InputKey is the hash of everything the rendering could read.
	// +optional
	InputKey string `json:"inputKey,omitempty"`
	// Rollout names what the revision runs, where each has a workload of its own.
	// +optional
	Rollout string `json:"rollout,omitempty"`
	// +optional
	Time metav1.Time `json:"time,omitzero"`
}

// Urgent is a signed wish that a change goes through a freeze.
type Urgent struct {
	// By is whose key signed it.
	By string `json:"by"`
	// +optional
	Reason string `json:"reason,omitempty"`
}

// HeldRevision is a revision that is not applied again, and why.
type HeldRevision struct {
	Commit string `json:"commit"`
	// +optional
	Version string `json:"version,omitempty"`
	// +optional
	ObjectsHash string `json:"objectsHash,omitempty"`
	// +optional
	Reason string `json:"reason,omitempty"`
	// Proposal is where the revert is: the URL of a pull request, or a branch.
	// +optional
	Proposal string `json:"proposal,omitempty"`
	// +optional
	Time metav1.Time `json:"time,omitzero"`
}

// Promotion is a version that davit proposed for a release by its rule.
type Promotion struct {
	Version string `json:"version"`
	// Where is the URL of the pull request, or the branch.
	// +optional
	Where string `json:"where,omitempty"`
	// Declined says that a person closed it: the version is not proposed again.
	// +optional
	Declined bool `json:"declined,omitempty"`
	// DeclinedBefore are the last versions that people declined before, the newest first.
	// +optional
	// +kubebuilder:validation:MaxItems=10
	DeclinedBefore []string `json:"declinedBefore,omitempty"`
	// Waits is why the rule does not merge it yet; absent where a person is to merge it.
	// +optional
	Waits string `json:"waits,omitempty"`
}

// Outcome is what came of a revision.
type Outcome struct {
	Commit string `json:"commit"`
	// +optional
	Version string `json:"version,omitempty"`
	// +optional
	Image   string `json:"image,omitempty"`
	Outcome Phase  `json:"outcome"`
	// Reason is one CamelCase word, Message a sentence without anything the container wrote.
	// +optional
	Reason string `json:"reason,omitempty"`
	// +optional
	Message string `json:"message,omitempty"`
	// ExitCode is of the container that ended.
	// +optional
	ExitCode *int32 `json:"exitCode,omitempty"`
	// Log is the end of what it wrote, where the environment allows that to be told.
	// +optional
	Log string `json:"log,omitempty"`
	// Serves is the revision that serves instead of a failed one, or of one that a person turned away from.
	// +optional
	Serves *Serves `json:"serves,omitempty"`
	// By is the person who asked for it, or whose key let it through a freeze.
	// +optional
	By string `json:"by,omitempty"`
	// Applied is when the revision's objects were applied.
	// +optional
	Applied metav1.Time `json:"applied,omitzero"`
	// InputKey is that of a revision that was healthy: what asks for the same again is a way back.
	// +optional
	InputKey string `json:"inputKey,omitempty"`
	// From is the version or commit that was replaced.
	// +optional
	From string `json:"from,omitempty"`
	// +optional
	At metav1.Time `json:"at,omitzero"`
}

// Serves names the revision that serves.
type Serves struct {
	// Commit is the full hash.
	Commit  string `json:"commit"`
	Version string `json:"version"`
}

// ObjectRef is one object of a release, in the ModelRelease's own namespace, as it was applied.
type ObjectRef struct {
	// +optional
	Group   string `json:"group,omitempty"`
	Version string `json:"version"`
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	// +optional
	UID types.UID `json:"uid,omitempty"`
	// Hash is of the object as davit sent it.
	// +optional
	Hash string `json:"hash,omitempty"`
	// Fields is the hash of the fields davit owned right after; another one now means drift.
	// +optional
	Fields string `json:"fields,omitempty"`
	// Generation is what the apply returned; health counts from it on.
	// +optional
	Generation int64 `json:"generation,omitempty"`
	// Stale marks an object that is no longer rendered and waits to be pruned.
	// +optional
	Stale bool `json:"stale,omitempty"`
}

// GroupKind is the kind of r.
func (r ObjectRef) GroupKind() schema.GroupKind {
	return schema.GroupKind{Group: r.Group, Kind: r.Kind}
}

// GroupVersionKind is the kind and version r was applied with.
func (r ObjectRef) GroupVersionKind() schema.GroupVersionKind {
	return r.GroupKind().WithVersion(r.Version)
}

// Same reports whether r and o name the same object, whatever their versions, UIDs and hashes.
func (r ObjectRef) Same(o ObjectRef) bool {
	return r.GroupKind() == o.GroupKind() && r.Name == o.Name
}

// String is "Deployment.apps/iris".
func (r ObjectRef) String() string {
	return r.GroupKind().String() + "/" + r.Name
}

// Pending says that a claim has no outcome yet: its objects are being applied, roll out, or were cut off.
func (m *ModelRelease) Pending() bool { return m.Spec.Claim.Token != m.Status.Token }

// Name is the name of the ModelRelease of a release in an environment.
func Name(environment, release string) string { return environment + "." + release }
