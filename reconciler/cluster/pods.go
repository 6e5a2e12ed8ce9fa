package cluster

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// crashLimit is how often the containers of one name may end before the revision has failed.
const crashLimit = 3

// crash is a container that ended, and where its log is.
type crash struct {
	namespace, pod, container string
	count                     int
	last                      *corev1.ContainerStateTerminated
	previous                  bool // the container runs again: its log is the previous one's
}

// podsHealth judges the pods of one revision of one workload. It is never Ready: whether there are enough of
// them is the workload's to say.
func podsHealth(pods []*corev1.Pod, startupTimeout time.Duration, now time.Time) Health {
	parts := []Health{crashesHealth(pods)}
	for _, pod := range pods {
		if gone(pod) {
			continue
		}
		parts = append(parts, podHealth(pod, startupTimeout, now))
	}
	return worst(parts...)
}

// gone are pods that were taken away, which says nothing of what ran in them.
func gone(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodFailed && pod.Status.Reason != "" ||
		condition(pod, corev1.DisruptionTarget).Status == corev1.ConditionTrue
}

func podHealth(pod *corev1.Pod, startupTimeout time.Duration, now time.Time) Health {
	ready := condition(pod, corev1.PodReady)
	if ready.Status == corev1.ConditionTrue || pod.Status.Phase == corev1.PodSucceeded {
		return Health{State: Ready, Since: ready.LastTransitionTime.Time}
	}
	if s := condition(pod, corev1.PodScheduled); s.Status == corev1.ConditionFalse {
		return Health{State: Waiting, Reason: s.Reason, Message: fmt.Sprintf("pod %s is not scheduled: %s", pod.Name, s.Message)}
	}
	var parts []Health
	unready := false
	for _, status := range statuses(pod) {
		if status.State.Waiting != nil {
			parts = append(parts, waitingHealth(pod, status))
		}
		if status.State.Running != nil && !status.Ready {
			parts = append(parts, startupHealth(status, ready, startupTimeout, now))
		}
		unready = unready || !status.Ready
	}
	if !unready && len(pod.Status.ContainerStatuses) > 0 && len(pod.Spec.ReadinessGates) == 0 {
		// The node controller turns the pod's condition when a node is lost, and leaves the containers'.
		parts = append(parts, Health{State: Waiting, Reason: "NodeLost", Message: fmt.Sprintf("node %s of pod %s does not report", pod.Spec.NodeName, pod.Name)})
	}
	if h := worst(parts...); h.State != Ready {
		return h
	}
	if pod.Spec.NodeName == "" {
		return progressing("Starting", "pod %s was not looked at by a scheduler yet", pod.Name)
	}
	return progressing("Starting", "pod %s is starting", pod.Name)
}

// startupHealth counts from the container's start, not the pod's: pulling an image of 100 GB is not the
// revision's fault. A restart does not start the count again, and one that had been ready gets it anew.
func startupHealth(status corev1.ContainerStatus, ready corev1.PodCondition, timeout time.Duration, now time.Time) Health {
	from := status.State.Running.StartedAt.Time
	if last := status.LastTerminationState.Terminated; last != nil && !last.StartedAt.IsZero() && last.StartedAt.Time.Before(from) {
		from = last.StartedAt.Time
	}
	if t := ready.LastTransitionTime.Time; t.After(from) {
		from = t
	}
	h := progressing("NotReady", "container %q runs and is not ready yet", status.Name)
	if timeout <= 0 {
		return h
	}
	if now.Sub(from) < timeout {
		h.Next = from.Add(timeout)
		return h
	}
	return Health{State: Failed, Reason: ReasonStartupTimeout, Message: fmt.Sprintf("container %q was not ready %s after its start", status.Name, timeout)}
}

func waitingHealth(pod *corev1.Pod, status corev1.ContainerStatus) Health {
	w := status.State.Waiting
	switch w.Reason {
	case "", "ContainerCreating", "PodInitializing":
		return progressing("Starting", "container %q is being created", status.Name)
	case "CrashLoopBackOff":
		return progressing("Restarting", "container %q ended and is started again", status.Name)
	case "ErrImageNeverPull", "InvalidImageName":
		return Health{State: Failed, Reason: w.Reason, Image: status.Image, Message: fmt.Sprintf("container %q: %s", status.Name, w.Message)}
	}
	if imageMissing(w) {
		image := missingImage(pod, status, w.Message)
		return Health{State: Failed, Reason: ReasonImageNotFound, Image: image, Message: fmt.Sprintf("image %s does not exist", image)}
	}
	return Health{State: Waiting, Reason: w.Reason, Message: fmt.Sprintf("container %q waits: %s", status.Name, w.Message)}
}

var (
	pullReason = regexp.MustCompile(`Image|Pull|CreateContainerError`)
	// What containerd, CRI-O and OCI registries say of a tag or digest that is not there. "no such host" and
	// "not authorized" are others, and so is Docker Hub's "repository does not exist or may require …".
	missing = regexp.MustCompile(`(?i)manifest unknown|MANIFEST_UNKNOWN|NAME_UNKNOWN|name unknown|code = NotFound|: not found(["\s]|$)`)
)

func imageMissing(w *corev1.ContainerStateWaiting) bool {
	return pullReason.MatchString(w.Reason) && missing.MatchString(w.Message)
}

// missingImage finds which reference of the pod a message is about: the container's or an image volume's.
func missingImage(pod *corev1.Pod, status corev1.ContainerStatus, message string) string {
	for _, v := range pod.Spec.Volumes {
		if v.Image != nil && v.Image.Reference != "" && strings.Contains(message, v.Image.Reference) {
			return v.Image.Reference
		}
	}
	for _, c := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
		if c.Name == status.Name {
			return c.Image
		}
	}
	return status.Image
}

// crashesHealth sums the ends of the containers of each name over the pods.
func crashesHealth(pods []*corev1.Pod) Health {
	h := Health{State: Ready}
	byName := map[string]*crash{}
	for _, pod := range pods {
		if gone(pod) {
			continue
		}
		for _, status := range statuses(pod) {
			n, last := crashes(status)
			if n == 0 {
				continue
			}
			c := byName[status.Name]
			if c == nil {
				c = &crash{}
				byName[status.Name] = c
			}
			h.Crashes += n
			c.count += n
			if last != nil && (c.last == nil || last.FinishedAt.After(c.last.FinishedAt.Time)) {
				*c = crash{pod.Namespace, pod.Name, status.Name, c.count, last, status.State.Running != nil}
			}
		}
	}
	for name, c := range byName {
		if c.count >= crashLimit && (h.crash == nil || c.count > h.crash.count) {
			h.State, h.Reason, h.crash = Failed, ReasonCrash, c
			h.Message = c.message(name)
			h.LastLog = c.written()
			h.ExitCode = c.exitCode()
		}
	}
	return h
}

// crashes counts how often a container ended. The kubelet counts restarts, so the end that was not followed
// by one yet is added.
func crashes(status corev1.ContainerStatus) (int, *corev1.ContainerStateTerminated) {
	last := status.LastTerminationState.Terminated
	n := int(status.RestartCount)
	switch {
	case status.State.Terminated != nil:
		last = status.State.Terminated
		if last.ExitCode != 0 {
			n++
		}
	case status.State.Waiting != nil && status.State.Waiting.Reason == "CrashLoopBackOff":
		n++
	}
	return n, last
}

func (c *crash) message(name string) string {
	switch {
	case c.last == nil:
		return fmt.Sprintf("container %q ended %d times", name, c.count)
	case c.last.Reason == "OOMKilled":
		return fmt.Sprintf("container %q was killed because it needs more memory than its limit, %d times", name, c.count)
	}
	return fmt.Sprintf("container %q exited with code %d, %d times", name, c.last.ExitCode, c.count)
}

func (c *crash) exitCode() *int32 {
	if c.last == nil {
		return nil
	}
	return &c.last.ExitCode
}

func (c *crash) written() string {
	if c.last == nil {
		return ""
	}
	return strings.TrimSpace(c.last.Message)
}

// statuses are those of all containers but init containers that ended well.
func statuses(pod *corev1.Pod) []corev1.ContainerStatus {
	var all []corev1.ContainerStatus
	for _, s := range pod.Status.InitContainerStatuses {
		if t := s.State.Terminated; (t == nil || t.ExitCode != 0) && (s.Started == nil || !*s.Started || !s.Ready) {
			all = append(all, s)
		}
	}
	return append(all, pod.Status.ContainerStatuses...)
}

func condition(pod *corev1.Pod, typ corev1.PodConditionType) corev1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if c.Type == typ {
			return c
		}
	}
	return corev1.PodCondition{}
}
