package cluster

import (
	"encoding/json"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// driftAnnotation set to "ignore" on an object leaves alone what others change in it.
const driftAnnotation = "davit.dev/drift"

// tracked is what is kept in memory of an object: 40,000 of them, a quarter Deployments, take 27 MiB with the
// stores around them (TestMemory). It is never changed, so it may be read by anybody.
type tracked struct {
	namespace, name, release string
	uid                      types.UID
	version                  string // resourceVersion
	generation               int64
	created                  time.Time
	fields                   string // as ownedFields
	part                     string // the ApplySet
	deleting                 bool
	ignore                   bool // drift is not corrected
	replicasOwned            bool // by davit
	controlled               bool // it has a controller
	// health is by kind: *workload, *replicaSet, or the JSON of what is kept of other objects; nil where there is
	// nothing to see.
	health any
}

// workload is of a kind of its own package's types.
type workload struct {
	replicas *int32
	revision string // annotation that numbers the pods' template
	status   any    // pointer to the kind's status
}

// replicaSet is what joins a Deployment's revision to its pods. A Deployment keeps ten old ones.
type replicaSet struct {
	owner    types.UID // of its controller
	revision string
}

// GetObjectMeta makes tracked fit for an informer's store.
func (t *tracked) GetObjectMeta() metav1.Object { return &face{&unasked, t} }

// face is what the stores ask of a tracked, several times for each: an ObjectMeta filled anew for each question was a
// tenth of what a controller allocates at its start. Nobody asks for the rest, or sets anything.
type face struct {
	metav1.Object
	of *tracked
}

// unasked is shared, and empty.
var unasked metav1.ObjectMeta

func (n *face) GetNamespace() string       { return n.of.namespace }
func (n *face) GetName() string            { return n.of.name }
func (n *face) GetUID() types.UID          { return n.of.uid }
func (n *face) GetResourceVersion() string { return n.of.version }
func (n *face) GetGeneration() int64       { return n.of.generation }

// track reads what the object's metadata says.
func track(o metav1.Object) *tracked {
	labels := o.GetLabels()
	return &tracked{
		namespace: o.GetNamespace(), name: o.GetName(), release: labels[LabelRelease], uid: o.GetUID(),
		version: o.GetResourceVersion(), generation: o.GetGeneration(), created: o.GetCreationTimestamp().Time,
		fields: ownedFields(o), part: labels[applySetPartOf], deleting: o.GetDeletionTimestamp() != nil,
		ignore: o.GetAnnotations()[driftAnnotation] == "ignore", replicasOwned: ownsReplicas(o),
		controlled: metav1.GetControllerOfNoCopy(o) != nil,
	}
}

// keep is the informers' transform: what comes from the API server becomes what is kept.
func keep(o any) (any, error) {
	m, ok := o.(metav1.Object)
	if !ok {
		return o, nil // a tracked one already, or a DeletedFinalStateUnknown around one
	}
	t := track(m)
	switch o := o.(type) {
	case *appsv1.Deployment: // copies, since a pointer into the object would keep all of it
		status := o.Status
		t.health = &workload{o.Spec.Replicas, o.Annotations[revisionAnnotation], &status}
	case *appsv1.StatefulSet:
		status := o.Status
		t.health = &workload{o.Spec.Replicas, "", &status}
	case *appsv1.DaemonSet:
		status := o.Status
		t.health = &workload{nil, o.Annotations[appsv1.DeprecatedTemplateGeneration], &status}
	case *batchv1.Job:
		status := o.Status
		t.health = &workload{nil, "", &status}
	case *unstructured.Unstructured:
		body, err := json.Marshal(readable(o))
		if err != nil {
			return nil, err
		}
		t.health = body
	}
	return t, nil
}

// keepSet is keep for ReplicaSets.
func keepSet(o any) (any, error) {
	m, ok := o.(metav1.Object)
	if !ok {
		return o, nil
	}
	t, set := track(m), &replicaSet{revision: m.GetAnnotations()[revisionAnnotation]}
	if owner := metav1.GetControllerOfNoCopy(m); owner != nil {
		set.owner = owner.UID
	}
	t.health = set
	return t, nil
}

// specFields are what health reads of the specs of kinds it knows. Of others the whole spec is kept, for
// kstatus and for people's expressions.
var specFields = map[string][]string{
	"HorizontalPodAutoscaler": {}, "PersistentVolumeClaim": {"storageClassName", "volumeName"}, "HTTPRoute": {"parentRefs"},
	"JobSet": {"suspend"}, "LeaderWorkerSet": {"replicas"}, "InferenceService": {},
}

// readable is o without what neither health nor an expression reads.
func readable(o *unstructured.Unstructured) map[string]any {
	kept := map[string]any{"apiVersion": o.GetAPIVersion(), "kind": o.GetKind()}
	meta := map[string]any{
		"name": o.GetName(), "namespace": o.GetNamespace(), "generation": o.GetGeneration(),
		"labels": o.Object["metadata"].(map[string]any)["labels"],
	}
	if at := o.GetDeletionTimestamp(); at != nil {
		meta["deletionTimestamp"] = at.UTC().Format(time.RFC3339)
	}
	kept["metadata"] = meta
	for key, value := range o.Object {
		if key != "apiVersion" && key != "kind" && key != "metadata" && key != "spec" {
			kept[key] = value
		}
	}
	spec, _ := o.Object["spec"].(map[string]any)
	fields, known := specFields[o.GetKind()]
	if !known && spec != nil {
		kept["spec"] = spec
		return kept
	}
	some := map[string]any{}
	for _, field := range fields {
		if value, ok := spec[field]; ok {
			some[field] = value
		}
	}
	kept["spec"] = some
	return kept
}
