package v1alpha1

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Traffic is where the traffic of a release goes whose revisions have workloads of their own (rollout strategies
// blueGreen and canary). A rollout's name is the value of the label davit.dev/rollout on its objects.
type Traffic struct {
	// Serving is the rollout that has the traffic: all but Weight percent of it.
	// +optional
	Serving string `json:"serving,omitempty"`
	// Next is the rollout that it goes over to; empty when it is there.
	// +optional
	Next string `json:"next,omitempty"`
	// Step is how many of a canary's steps have begun.
	// +optional
	Step int32 `json:"step,omitempty"`
	// Weight is the percentage of the traffic that Next has or is about to get; 100 while all is being turned to it.
	// +optional
	Weight int32 `json:"weight,omitempty"`
	// Since is when the step began.
	// +optional
	Since metav1.Time `json:"since,omitzero"`
	// Kept is the rollout before, which goes on running until KeptUntil so that going back takes seconds.
	// +optional
	Kept string `json:"kept,omitempty"`
	// +optional
	KeptUntil metav1.Time `json:"keptUntil,omitzero"`
}

// Keeps says whether an object of that name belongs to the rollout before. A generated name has a hash behind the
// rollout's.
func (t *Traffic) Keeps(name string) bool {
	return t != nil && t.Kept != "" && strings.Contains(name+"-", "-"+t.Kept+"-")
}
