package cluster

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The functions below tell whether a workload's controller has rolled out the current template, whatever the
// pods say. A workload whose controller did not see the newest generation yet is progressing.

func deploymentHealth(d *appsv1.Deployment) Health {
	want, s := replicas(d.Spec.Replicas), d.Status
	if s.ObservedGeneration < d.Generation {
		return unobserved("deployment", d.Name)
	}
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
			return creationHealth("deployment", d.Name, c.Message)
		}
		if c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded" {
			// Only that it takes long; why is for the pods to say.
			return Health{State: Waiting, Reason: c.Reason, Message: fmt.Sprintf("deployment %q: %s", d.Name, c.Message)}
		}
	}
	switch {
	case s.UpdatedReplicas < want:
		return some(s.ReadyReplicas, progressing("RollingOut", "%d of %d replicas of deployment %q are of this revision", s.UpdatedReplicas, want, d.Name))
	case s.Replicas > s.UpdatedReplicas:
		return progressing("RollingOut", "%d replicas of deployment %q are of an earlier revision", s.Replicas-s.UpdatedReplicas, d.Name)
	case s.ReadyReplicas < want || s.AvailableReplicas < want:
		return some(s.ReadyReplicas, progressing("NotReady", "%d of %d replicas of deployment %q are ready", min(s.ReadyReplicas, s.AvailableReplicas), want, d.Name))
	}
	return Health{State: Ready}
}

// some says of a workload that is not ready that some of its replicas are.
func some(ready int32, h Health) Health {
	h.Partly = ready > 0
	return h
}

func statefulSetHealth(d *appsv1.StatefulSet) Health {
	want, s := replicas(d.Spec.Replicas), d.Status
	switch {
	case s.ObservedGeneration < d.Generation:
		return unobserved("statefulset", d.Name)
	case s.CurrentRevision != s.UpdateRevision && s.UpdatedReplicas < want:
		return progressing("RollingOut", "%d of %d replicas of statefulset %q are of this revision", s.UpdatedReplicas, want, d.Name)
	case s.Replicas != want || s.ReadyReplicas < want:
		return progressing("NotReady", "%d of %d replicas of statefulset %q are ready", s.ReadyReplicas, want, d.Name)
	}
	return Health{State: Ready}
}

func daemonSetHealth(d *appsv1.DaemonSet) Health {
	want, s := d.Status.DesiredNumberScheduled, d.Status
	switch {
	case s.ObservedGeneration < d.Generation:
		return unobserved("daemonset", d.Name)
	case s.UpdatedNumberScheduled < want || s.NumberReady < want:
		return progressing("NotReady", "%d of %d pods of daemonset %q are ready", min(s.UpdatedNumberScheduled, s.NumberReady), want, d.Name)
	}
	return Health{State: Ready}
}

func jobHealth(j *batchv1.Job) Health {
	for _, c := range j.Status.Conditions {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobComplete:
			return Health{State: Ready, Since: c.LastTransitionTime.Time}
		case batchv1.JobFailed:
			return Health{State: Failed, Reason: c.Reason, Message: fmt.Sprintf("job %q: %s", j.Name, c.Message)}
		case batchv1.JobSuspended:
			return Health{State: Waiting, Reason: "Suspended", Message: fmt.Sprintf("job %q waits for admission", j.Name)}
		}
	}
	return progressing("Running", "job %q runs", j.Name)
}

// creationHealth is of pods the API server does not let a controller create. Pod security judges the
// revision; quotas and webhooks may judge otherwise tomorrow.
func creationHealth(kind, name, message string) Health {
	h := Health{State: Waiting, Reason: "FailedCreate", Message: fmt.Sprintf("pods of %s %q can't be created: %s", kind, name, message)}
	switch {
	case strings.Contains(message, "violates PodSecurity"):
		h.State, h.Reason = Failed, "PodForbidden"
	case strings.Contains(message, "exceeded quota"):
		h.Reason = "NamespaceQuotaExceeded"
	}
	return h
}

func unobserved(kind, name string) Health {
	return progressing("Unobserved", "%s %q was just applied", kind, name)
}

func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

const revisionAnnotation = "deployment.kubernetes.io/revision"

// currentReplicaSet is the one the Deployment controller numbered as it numbered the Deployment. A rollback
// to an earlier template numbers that template's ReplicaSet anew.
func currentReplicaSet(d *appsv1.Deployment, sets []*tracked) *tracked {
	for _, rs := range sets {
		if set, ok := rs.health.(*replicaSet); ok && set.owner == d.UID && set.revision == d.Annotations[revisionAnnotation] {
			return rs
		}
	}
	return nil
}

func controlled(pods []*corev1.Pod, owner metav1.Object, label, value string) []*corev1.Pod {
	var own []*corev1.Pod
	for _, p := range pods {
		if metav1.IsControlledBy(p, owner) && (label == "" || p.Labels[label] == value) {
			own = append(own, p)
		}
	}
	return own
}
