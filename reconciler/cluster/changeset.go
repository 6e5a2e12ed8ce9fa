package cluster

import (
	"fmt"
	"slices"
	"strings"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// Action is what happened, or would happen, to an object.
type Action string

// The actions of a ChangeSet.
const (
	Created    Action = "created"
	Configured Action = "configured"
	Unchanged  Action = "unchanged"
	Deleted    Action = "deleted"
	Recreated  Action = "recreated" // deleted and made anew, for a field that cannot be changed; a plan says it
	Skipped    Action = "skipped"
)

// Change is one object of a ChangeSet.
type Change struct {
	Ref    v1alpha1.ObjectRef
	Action Action
	// From are the field managers, sorted, from which davit took back fields it had applied.
	From []string
	// Fields are what a plan would change of an object that is there: Wanted is what the API server would make of it.
	Fields []FieldDrift
}

// ChangeSet is what an apply, a plan or a prune did, per object, and what the release holds afterwards.
type ChangeSet struct {
	Changes []Change
	// Inventory is for ModelRelease.Status. Objects that are no longer rendered stay in it, marked stale,
	// until they are pruned. It is also right after an error: what was done is in it, the rest as before.
	Inventory []v1alpha1.ObjectRef
}

// Count is the number of objects with that action.
func (c ChangeSet) Count(action Action) (n int) {
	for _, change := range c.Changes {
		if change.Action == action {
			n++
		}
	}
	return n
}

// Changed reports whether anything was created, configured or deleted.
func (c ChangeSet) Changed() bool {
	return c.Count(Created)+c.Count(Configured)+c.Count(Deleted) > 0
}

// RefusedError says that the API server or its admission refuses an object for what is in it: trying again
// will not help, another revision might.
type RefusedError struct {
	Ref     v1alpha1.ObjectRef
	Message string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s refused: %s", e.Ref, e.Message)
}

func sortRefs(refs []v1alpha1.ObjectRef) {
	slices.SortFunc(refs, func(a, b v1alpha1.ObjectRef) int { return strings.Compare(a.String(), b.String()) })
}

func find(refs []v1alpha1.ObjectRef, ref v1alpha1.ObjectRef) (v1alpha1.ObjectRef, bool) {
	i := slices.IndexFunc(refs, ref.Same)
	if i < 0 {
		return v1alpha1.ObjectRef{}, false
	}
	return refs[i], true
}
