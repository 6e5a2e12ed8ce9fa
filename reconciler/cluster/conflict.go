package cluster

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// ConflictError says that an object of that name exists and is somebody else's. davit leaves it alone: a person
// has to decide, by another name or, where Adoptable, by davit sync --adopt.
type ConflictError struct {
	Ref v1alpha1.ObjectRef
	// Managers are the field managers that wrote the object, sorted; "davit" when it is another release's.
	Managers []string
	// Fields are those on which davit would disagree with them; empty when that was not asked.
	Fields []string
	// Adoptable is false for an object of another ApplySet or of a controller, which Config.Adopt does not take.
	Adoptable bool
	// Why says whose it is, when that is more than the managers tell.
	Why string
}

func (e *ConflictError) Error() string {
	whose := "is managed by " + strings.Join(e.Managers, " and ")
	if e.Why != "" {
		whose = e.Why
	}
	if e.Adoptable {
		return fmt.Sprintf("%s %s; davit sync --adopt takes it over", e.Ref, whose)
	}
	return fmt.Sprintf("%s %s; give davit's another name, or delete that one", e.Ref, whose)
}

// BusyError says that an object is in a state in which davit does not touch it: it is being deleted, or is a Job
// that runs. That passes; try again when the object changes.
type BusyError struct {
	Ref v1alpha1.ObjectRef
	Why string
}

func (e *BusyError) Error() string { return fmt.Sprintf("%s %s", e.Ref, e.Why) }

// managers are those that wrote the object itself, not its status.
func managers(o metav1.Object) []string {
	names := map[string]bool{}
	for _, e := range o.GetManagedFields() {
		if e.Subresource == "" && !strings.HasPrefix(e.Manager, Manager) {
			names[e.Manager] = true
		}
	}
	if len(names) > 1 { // a workload's controller writes annotations
		delete(names, "kube-controller-manager")
	}
	if len(names) == 0 {
		return []string{"somebody else"}
	}
	return slices.Sorted(maps.Keys(names))
}

var conflictWith = regexp.MustCompile(`conflict with "([^"]*)"`)

// contested tells an answer that other managers own fields of what was applied, and who owns what.
func contested(err error) (from, fields []string, is bool) {
	if !apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict) {
		return nil, nil, false
	}
	status, _ := err.(apierrors.APIStatus)
	if status == nil {
		return nil, nil, true
	}
	for _, cause := range status.Status().Details.Causes {
		if m := conflictWith.FindStringSubmatch(cause.Message); m != nil && !strings.HasPrefix(m[1], Manager) {
			from = append(from, m[1])
		}
		fields = append(fields, cause.Field)
	}
	slices.Sort(from)
	return slices.Compact(from), fields, true
}
