package cluster

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// custom judges an object of a kind without a type of its own here, from the JSON that is kept of it.
func (v view) custom(kind schema.GroupKind, t *tracked) Health {
	body, _ := t.health.([]byte)
	if body == nil {
		return Health{State: Ready}
	}
	switch kind {
	case kindJobSet:
		return read(t, body, func(o *conditioned) Health { return v.judge(jobSetHealth(o), v.restart(t.name)) })
	case kindLeaderWorker:
		return read(t, body, func(o *conditioned) Health {
			return v.judge(leaderWorkerHealth(o), v.newest("leaderworkerset.sigs.k8s.io/name", t.name, "leaderworkerset.sigs.k8s.io/template-revision-hash"))
		})
	case kindInference:
		return read(t, body, func(o *conditioned) Health {
			return v.judge(inferenceHealth(o), v.newest("serving.kserve.io/inferenceservice", t.name, "pod-template-hash"))
		})
	case kindHTTPRoute:
		return read(t, body, func(o *conditioned) Health { return routeHealth(o, v.now) })
	case kindAutoscaler:
		return read(t, body, autoscalerHealth)
	case kindClaim:
		return read(t, body, func(o *conditioned) Health { return claimHealth(o, v.now.Sub(t.created)) })
	}
	if _, makes := secretMakers[kind]; makes {
		return read(t, body, func(o *conditioned) Health { return secretMakerHealth(kind, o) })
	}
	return read(t, body, func(o *unstructured.Unstructured) Health { return statusHealth(kind, o) })
}

func read[T any](t *tracked, body []byte, judge func(*T) Health) Health {
	o := new(T)
	if err := json.Unmarshal(body, o); err != nil {
		return Health{State: Waiting, Reason: "Unreadable", Message: fmt.Sprintf("%s: %v", t.name, err)}
	}
	return judge(o)
}

// statusHealth judges an object of any kind by its conditions, as kstatus reads them.
func statusHealth(kind schema.GroupKind, o *unstructured.Unstructured) Health {
	name := kind.String() + "/" + o.GetName()
	result, err := status.Compute(o)
	switch {
	case err != nil:
		return Health{State: Waiting, Reason: "Unreadable", Message: fmt.Sprintf("%s: %v", name, err)}
	case result.Status == status.CurrentStatus:
		return Health{State: Ready}
	case result.Status == status.FailedStatus:
		return Health{State: Failed, Reason: "Stalled", Message: fmt.Sprintf("%s: %s", name, result.Message)}
	}
	return progressing("NotReady", "%s: %s", name, result.Message)
}

// conditioned is what the kinds below have in common, and a few fields of single ones.
type conditioned struct {
	Metadata struct {
		Name       string
		Generation int64
	}
	Spec struct {
		Suspend          *bool
		Replicas         *int32
		StorageClassName *string
		ParentRefs       []parentRef
	}
	Status struct {
		ObservedGeneration int64
		Conditions         []metav1.Condition
		Phase              string
		Restarts           int32
		Replicas           int32
		ReadyReplicas      int32
		UpdatedReplicas    int32
		ModelStatus        modelStatus
		Parents            []routeParent
	}
}

func (o *conditioned) condition(typ string) metav1.Condition {
	return find1(o.Status.Conditions, typ)
}

func find1(conditions []metav1.Condition, typ string) metav1.Condition {
	for _, c := range conditions {
		if c.Type == typ {
			return c
		}
	}
	return metav1.Condition{}
}

// unobserved says that the kind's controller has not looked at this generation. Controllers that do not tell
// count as having looked.
func (o *conditioned) unobserved() bool {
	return o.Status.ObservedGeneration != 0 && o.Status.ObservedGeneration < o.Metadata.Generation
}

func sentence(kind, name string, c metav1.Condition) string {
	return fmt.Sprintf("%s %q: %s", kind, name, cmp.Or(c.Message, c.Reason, c.Type+" is "+string(c.Status)))
}

func jobSetHealth(o *conditioned) Health {
	name := o.Metadata.Name
	for _, c := range o.Status.Conditions {
		if c.Status != metav1.ConditionTrue {
			continue
		}
		switch c.Type {
		case "Completed":
			return Health{State: Ready, Since: c.LastTransitionTime.Time}
		case "Failed":
			return Health{State: Failed, Reason: cmp.Or(c.Reason, "Failed"), Message: sentence("jobset", name, c)}
		case "Suspended":
			return Health{State: Waiting, Reason: "Suspended", Message: fmt.Sprintf("jobset %q waits for admission", name)}
		}
	}
	if o.Status.Restarts > 0 {
		return progressing("Restarted", "jobset %q runs, after %d restarts", name, o.Status.Restarts)
	}
	return progressing("Running", "jobset %q runs", name)
}

func leaderWorkerHealth(o *conditioned) Health {
	name, want, s := o.Metadata.Name, replicas(o.Spec.Replicas), o.Status
	switch available := o.condition("Available"); {
	case o.unobserved() || len(s.Conditions) == 0:
		return unobserved("leaderworkerset", name)
	case s.UpdatedReplicas < want:
		return progressing("RollingOut", "%d of %d groups of leaderworkerset %q are of this revision", s.UpdatedReplicas, want, name)
	case s.ReadyReplicas < want:
		return some(s.ReadyReplicas, progressing("NotReady", "%d of %d groups of leaderworkerset %q are ready", s.ReadyReplicas, want, name))
	case o.condition("UpdateInProgress").Status == metav1.ConditionTrue:
		return progressing("RollingOut", "%s", sentence("leaderworkerset", name, o.condition("UpdateInProgress")))
	case available.Status != metav1.ConditionTrue:
		return progressing("NotReady", "%s", sentence("leaderworkerset", name, available))
	default:
		return Health{State: Ready, Since: available.LastTransitionTime.Time}
	}
}

// modelStatus is KServe's, of one model.
type modelStatus struct {
	TransitionStatus string
	LastFailureInfo  struct {
		Reason, Message string
		ExitCode        int32
	}
}

// inferenceHealth judges KServe's InferenceService. What its lastFailureInfo quotes is the end of the
// container's log, so it goes where logs go.
func inferenceHealth(o *conditioned) Health {
	name, model, ready := o.Metadata.Name, o.Status.ModelStatus, o.condition("Ready")
	switch {
	case o.unobserved() || ready.Type == "":
		return unobserved("inferenceservice", name)
	case model.TransitionStatus == "BlockedByFailedLoad" || model.TransitionStatus == "InvalidSpec":
		reason := cmp.Or(model.LastFailureInfo.Reason, model.TransitionStatus)
		h := Health{State: Failed, Reason: reason, LastLog: model.LastFailureInfo.Message}
		h.Message = fmt.Sprintf("inferenceservice %q: its model is not loaded (%s)", name, reason)
		if code := model.LastFailureInfo.ExitCode; code != 0 {
			h.ExitCode = &code
			h.Message = fmt.Sprintf("inferenceservice %q: its model is not loaded (%s, exit code %d)", name, reason, code)
		}
		return h
	case ready.Status == metav1.ConditionTrue:
		return Health{State: Ready, Since: ready.LastTransitionTime.Time}
	}
	for _, c := range o.Status.Conditions { // Ready only says that one of these is not
		if c.Status == metav1.ConditionFalse && c.Type != "Ready" && c.Type != "Stopped" && (c.Reason != "" || c.Message != "") {
			return progressing(cmp.Or(c.Reason, "NotReady"), "%s", sentence("inferenceservice", name, c))
		}
	}
	return progressing(cmp.Or(ready.Reason, "NotReady"), "%s", sentence("inferenceservice", name, ready))
}

type parentRef struct {
	Name        string
	Namespace   *string
	SectionName *string
}

func (p parentRef) String() string {
	name := p.Name
	if p.Namespace != nil {
		name = *p.Namespace + "/" + name
	}
	if p.SectionName != nil {
		name += " (" + *p.SectionName + ")"
	}
	return name
}

type routeParent struct {
	ParentRef  parentRef
	Conditions []metav1.Condition
}

// routeHealth asks each gateway an HTTPRoute names whether it took the route and found what it leads to.
func routeHealth(o *conditioned, now time.Time) Health {
	parts := []Health{{State: Ready}}
	for _, ref := range o.Spec.ParentRefs {
		h := Health{State: Waiting, Reason: "NoGateway", Message: fmt.Sprintf("httproute %q: no gateway %s has looked at it", o.Metadata.Name, ref)}
		for _, parent := range o.Status.Parents {
			if parent.ParentRef.String() == ref.String() {
				h = parentHealth(o, parent, now)
			}
		}
		parts = append(parts, h)
	}
	return worst(parts...)
}

// gatewayPatience is how long a gateway may not know what a route leads to: it sees the Service after the route.
const gatewayPatience = 5 * time.Second

func parentHealth(o *conditioned, parent routeParent, now time.Time) Health {
	for _, typ := range []string{"Accepted", "ResolvedRefs"} {
		c := find1(parent.Conditions, typ)
		switch {
		case c.Type == "" || c.ObservedGeneration < o.Metadata.Generation || c.Status == metav1.ConditionUnknown:
			return unobserved("httproute", o.Metadata.Name)
		case c.Status == metav1.ConditionFalse:
			h := Health{State: Waiting, Reason: cmp.Or(c.Reason, typ), Message: fmt.Sprintf("gateway %s: %s", parent.ParentRef, sentence("httproute", o.Metadata.Name, c))}
			if until := c.LastTransitionTime.Add(gatewayPatience); c.Reason == "BackendNotFound" && now.Before(until) {
				h.State, h.Next = Progressing, until
			}
			return h
		}
	}
	return Health{State: Ready}
}

func autoscalerHealth(o *conditioned) Health {
	if len(o.Status.Conditions) == 0 {
		return unobserved("horizontalpodautoscaler", o.Metadata.Name)
	}
	for _, typ := range []string{"AbleToScale", "ScalingActive"} {
		// Scaled to none by hand is what someone wants.
		if c := o.condition(typ); c.Status == metav1.ConditionFalse && c.Reason != "ScalingDisabled" {
			return Health{State: Waiting, Reason: cmp.Or(c.Reason, typ), Message: sentence("horizontalpodautoscaler", o.Metadata.Name, c)}
		}
	}
	return Health{State: Ready}
}

// claimPatience is how long a volume may take to be provisioned before a release is said to wait for it.
const claimPatience = 30 * time.Second

func claimHealth(o *conditioned, age time.Duration) Health {
	name := o.Metadata.Name
	switch corev1.PersistentVolumeClaimPhase(o.Status.Phase) {
	case corev1.ClaimBound:
		return Health{State: Ready}
	case corev1.ClaimLost:
		return Health{State: Waiting, Reason: "VolumeLost", Message: fmt.Sprintf("the volume of claim %q is gone", name)}
	}
	class := "the default class"
	if o.Spec.StorageClassName != nil {
		class = fmt.Sprintf("class %q", *o.Spec.StorageClassName)
	}
	h := Health{State: Waiting, Reason: "VolumePending", Message: fmt.Sprintf("claim %q has no volume of %s yet", name, class)}
	if age < claimPatience {
		h.State = Progressing
	}
	return h
}

// restart is the pods of a JobSet's last restart.
func (v view) restart(name string) []*corev1.Pod {
	return v.newest("jobset.sigs.k8s.io/jobset-name", name, "jobset.sigs.k8s.io/restart-attempt")
}

// newest is the release's pods that bear label name, of the revision of the one created last.
func (v view) newest(label, name, revision string) (pods []*corev1.Pod) {
	var last *corev1.Pod
	all := v.pods()
	for _, pod := range all {
		if pod.Labels[label] == name && (last == nil || last.CreationTimestamp.Before(&pod.CreationTimestamp)) {
			last = pod
		}
	}
	for _, pod := range all {
		if pod.Labels[label] == name && pod.Labels[revision] == last.Labels[revision] {
			pods = append(pods, pod)
		}
	}
	return pods
}
