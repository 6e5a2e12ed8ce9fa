package fleet

import (
	"time"

	"github.com/davit-dev/davit/registry/gate"
)

// Release is all there is to know of one release.
type Release struct {
	Cell
	Tip *Tip `json:"tip,omitempty"`
	// Stands is the phase in words, Message a sentence on it.
	Stands  string `json:"stands,omitempty"`
	Message string `json:"message,omitempty"`
	// Current is what serves, or is applied and was not healthy yet: Baking says so. Nil where nothing is.
	Current     *Revision `json:"current,omitempty"`
	Baking      bool      `json:"baking,omitempty"`
	LastHealthy *Revision `json:"lastHealthy,omitempty"`
	HeldBack    *Revision `json:"heldBack,omitempty"`
	Asked       *Asked    `json:"asked,omitempty"`
	// Coming is what was begun, or gets a share of the traffic, and has no outcome yet.
	Coming *Revision `json:"coming,omitempty"`
	// Rollout is nil where revisions share the workload, or none is under way.
	Rollout  *Rollout  `json:"rollout,omitempty"`
	Metrics  []Measure `json:"metrics,omitempty"`
	Measured time.Time `json:"measured,omitzero"`
	// Findings are what is to be known and done, what matters most first.
	Findings []Finding `json:"findings"`
	// Log is the end of what a container wrote that failed; for those alone who may see logs.
	Log  string `json:"log,omitempty"`
	Live Live   `json:"live"`
	// Drift is what somebody changed of what davit applied.
	Drift   []Drift    `json:"drift,omitempty"`
	History []Revision `json:"history"`
	// Places are the release in all of its environments, in the order of promotions; this one, too.
	Places []*Cell `json:"places"`
	// DependsOn are the releases that must be healthy before this one rolls, NeededBy those that wait for it so.
	DependsOn []*Cell `json:"dependsOn,omitempty"`
	NeededBy  []*Cell `json:"neededBy,omitempty"`
	// Next are the environments to which the version can go next.
	Next []Promotion `json:"next,omitempty"`
	// Acts are what can be asked for.
	Acts *Acts `json:"acts,omitempty"`
	// Notes say what could not be had.
	Notes []string `json:"notes,omitempty"`
}

// Title is the release's name.
func (r *Release) Title() string { return r.Environment + "/" + r.Cell.Release + " · release" }

// Revision is a commit that changed a release, and what came of it.
type Revision struct {
	Commit string `json:"commit"`
	// URL is where a browser finds the commit; "" where nobody knows.
	URL     string `json:"url,omitempty"`
	Version string `json:"version,omitempty"`
	// From is the version before; "" of a first one.
	From  string `json:"from,omitempty"`
	Model string `json:"model,omitempty"`
	Image string `json:"image,omitempty"`
	// Author and Subject are "" of a commit that is not in the repository, Here says whether it is.
	Author  string `json:"author,omitempty"`
	Subject string `json:"subject,omitempty"`
	Links   []Link `json:"links,omitempty"` // those of Subject
	Here    bool   `json:"here"`
	// When is that of the merge, Since when it was applied, or became what it is here.
	When  time.Time `json:"when,omitzero"`
	Since time.Time `json:"since,omitzero"`
	// Outcome, Reason and Message are those of its last outcome.
	Outcome string `json:"outcome,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// By is who asked for it, or who holds the claim.
	By string `json:"by,omitempty"`
	// Proposal is where the revert of a held one is.
	Proposal string `json:"proposal,omitempty"`
	// Before is the commit of the revision before in the history; "" of the first one that is known.
	Before string `json:"before,omitempty"`
}

// Asked is what the branch asks for where that is not what is applied.
type Asked struct {
	// Text goes on after "the branch".
	Text     string    `json:"text"`
	Revision *Revision `json:"revision,omitempty"`
	Fault    string    `json:"fault,omitempty"`
}

// Rollout is traffic that goes from one revision's workload to another's.
type Rollout struct {
	Serving string `json:"serving,omitempty"`
	Next    string `json:"next,omitempty"`
	// Weight is the percentage that Next has; Step the number of the step, from 1 on.
	Weight int    `json:"weight"`
	Step   int    `json:"step"`
	Steps  []Step `json:"steps,omitempty"`
	// Checks are what the serving metrics of Next's pods must be, in the words of the release's files.
	Checks []string  `json:"checks,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	// Kept is the workload before, which runs on until KeptUntil.
	Kept      string    `json:"kept,omitempty"`
	KeptUntil time.Time `json:"keptUntil,omitzero"`
}

// Step is one of a canary's.
type Step struct {
	Weight int    `json:"weight"`
	Pause  string `json:"pause"`
	// State is done, now or to come.
	State string `json:"state"`
}

// Measure is one of the serving metrics.
type Measure struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Finding is one thing to know, and what to type.
type Finding struct {
	What string   `json:"what"`
	Text string   `json:"text"`
	Do   []string `json:"do,omitempty"`
	// State is that of a release of which this is all there is to know.
	State State `json:"state"`
}

// Live is what is in the cluster now.
type Live struct {
	Pods    []Pod    `json:"pods"`
	Objects []Object `json:"objects"`
	// Older is how many workloads of earlier revisions without pods are left out; More says that there is more than is told.
	Older int  `json:"older,omitempty"`
	More  bool `json:"more,omitempty"`
	// Known is false where the cluster did not answer.
	Known bool `json:"known"`
}

// Pod is one pod of the release.
type Pod struct {
	Name       string    `json:"name"`
	Node       string    `json:"node,omitempty"`
	Phase      string    `json:"phase"`
	Ready      int       `json:"ready"`
	Containers int       `json:"containers"`
	Restarts   int       `json:"restarts"`
	Images     []string  `json:"images"`
	Created    time.Time `json:"created,omitzero"`
	GPUs       int       `json:"gpus,omitempty"`
	Version    string    `json:"version,omitempty"`
	Rollout    string    `json:"rollout,omitempty"`
	State      State     `json:"state"`
	Why        string    `json:"why,omitempty"`
}

// Object is one object, at its depth below those that own it: lists of objects are trees in the order one draws them.
type Object struct {
	Depth   int       `json:"depth"`
	Kind    string    `json:"kind"`
	Group   string    `json:"group,omitempty"`
	Name    string    `json:"name"`
	State   State     `json:"state"`
	Word    string    `json:"word"`
	Why     string    `json:"why,omitempty"`
	Detail  string    `json:"detail,omitempty"`
	Created time.Time `json:"created,omitzero"`
	// Own says that davit applied it, Stale that it is not rendered any more and goes.
	Own   bool `json:"own,omitempty"`
	Stale bool `json:"stale,omitempty"`
}

// Drift is one field that somebody changed, or an object that is gone.
type Drift struct {
	Object string `json:"object"`
	// Field is "" of an object that is gone.
	Field  string   `json:"field,omitempty"`
	Live   string   `json:"live,omitempty"`
	Wanted string   `json:"wanted,omitempty"`
	By     []string `json:"by,omitempty"`
}

// Promotion is the way of the version to another environment.
type Promotion struct {
	To      string `json:"to"`
	Version string `json:"version"`
	// Before is the version there; "" for none.
	Before  string `json:"before,omitempty"`
	Command string `json:"command,omitempty"`
	// Refused says why it can't be.
	Refused string `json:"refused,omitempty"`
	// Doubt says why the version may not be what one wants there: it is not what is healthy here.
	Doubt string `json:"doubt,omitempty"`
	// Gates are how those stand that are not open, Closed whether one of them keeps it back.
	Gates  []gate.Finding `json:"gates,omitempty"`
	Closed bool           `json:"closed,omitempty"`
	// Open is how many gates are.
	Open int `json:"open,omitempty"`
}
