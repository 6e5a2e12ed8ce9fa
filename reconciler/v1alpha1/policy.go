package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// PromotionPolicy is how promotions to an environment are decided, whatever the repository says. It is laid over what
// environment.yaml has, and the stricter of both holds; what is absent here leaves that as it is. That a version was healthy
// before counts as the ModelRelease tells, and as Git does where committer.signingKey has signed it.
type PromotionPolicy struct {
	// Gates are what a version must have before a release is promoted to it.
	// +optional
	Gates *Gates `json:"gates,omitempty"`
	// Roles lists the SSH public keys of each role, each as a line of authorized_keys. Of a role that environment.yaml names
	// too, the keys count that both have. Those of the role "urgent" sign what a freeze lets through; without them here,
	// only ways back go through a freeze that is named here.
	// +optional
	Roles map[string]Keys `json:"roles,omitempty"`
	// Freeze are the times in which nothing new is applied.
	// +optional
	// +listType=atomic
	Freeze []Freeze `json:"freeze,omitempty"`
	// Quota bounds the GPUs that releases ask for.
	// +optional
	Quota *Quota `json:"quota,omitempty"`
	// AutoMerge, when false, keeps promotion rules from merging by themselves; otherwise environment.yaml says whether they
	// may.
	// +optional
	AutoMerge *bool `json:"autoMerge,omitempty"`
}

// Keys are SSH public keys.
//
// +kubebuilder:validation:MinItems=1
type Keys []string

// Gates are what a version must have before a release is promoted to it.
type Gates struct {
	// Metrics bounds what the version tells of itself, by the metric's name. A metric that is missing is a failure.
	// +optional
	Metrics map[string]MetricGate `json:"metrics,omitempty"`
	// HealthyIn is how long the version must have been healthy in other environments, in the release of the same name.
	// +optional
	HealthyIn map[string]Span `json:"healthyIn,omitempty"`
	// Evidence names files that must lie in the model's folder evidence/<version>/, without their endings.
	// +optional
	// +listType=set
	Evidence []string `json:"evidence,omitempty"`
	// Approvals is how many people must have approved, by role.
	// +optional
	Approvals map[string]int32 `json:"approvals,omitempty"`
}

// MetricGate bounds one metric.
type MetricGate struct {
	// +optional
	Min Bound `json:"min,omitempty"`
	// +optional
	Max Bound `json:"max,omitempty"`
	// MaxDropFromServing is how much less than that of the version served now it may be.
	// +optional
	MaxDropFromServing Bound `json:"maxDropFromServing,omitempty"`
	// MaxRiseFromServing is how much more.
	// +optional
	MaxRiseFromServing Bound `json:"maxRiseFromServing,omitempty"`
	// Tasks are those of the models that are meant; all when empty.
	// +optional
	// +listType=set
	Tasks []string `json:"tasks,omitempty"`
}

// Bound is a number in quotes, "0.95": Kubernetes' API has no fractions.
//
// +kubebuilder:validation:Pattern=`^[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$`
// +kubebuilder:validation:MaxLength=40
type Bound string

// Span is a length of time, such as "90s" or "24h".
//
// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
// +kubebuilder:validation:MaxLength=40
type Span string

// Freeze is a time in which nothing new is applied, but for rollbacks and what the keys of the role "urgent" sign. It recurs
// by Schedule and Duration, or is once from From to Until.
//
// +kubebuilder:validation:XValidation:rule="has(self.schedule) ? has(self.duration) && !has(self.from) && !has(self.until) : has(self.from) && has(self.until)",message="write schedule and duration, or from and until"
type Freeze struct {
	// Name is what errors call it.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
	// Schedule is when it begins: the five fields of crontab(5).
	// +optional
	Schedule string `json:"schedule,omitempty"`
	// +optional
	Duration Span `json:"duration,omitempty"`
	// Timezone is a name of the IANA database; UTC when empty.
	// +optional
	Timezone string `json:"timezone,omitempty"`
	// +optional
	From metav1.Time `json:"from,omitzero"`
	// +optional
	Until metav1.Time `json:"until,omitzero"`
	// Reason is told to whom it stops.
	// +optional
	Reason string `json:"reason,omitempty"`
}

// Quota bounds GPUs.
type Quota struct {
	// GPUs is for all releases of the environment together; no bound when zero.
	// +optional
	// +kubebuilder:validation:Minimum=0
	GPUs int32 `json:"gpus,omitempty"`
	// PerTeam is for each team that Teams does not name; no bound when zero.
	// +optional
	// +kubebuilder:validation:Minimum=0
	PerTeam int32 `json:"perTeam,omitempty"`
	// Teams are those with a bound of their own; 0 lets the team have none.
	// +optional
	Teams map[string]int32 `json:"teams,omitempty"`
}
