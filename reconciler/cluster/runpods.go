package cluster

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// status judges a run by its object, and by its pods where that has not ended.
func (o runObject) status(all []*corev1.Pod) RunStatus {
	r := RunStatus{
		Name: o.meta.Name, Namespace: o.meta.Namespace, Kind: o.kind.Kind, UID: o.meta.UID,
		Training: o.meta.Labels[labelModel] + "/" + o.meta.Labels[labelTraining], Environment: o.meta.Labels[LabelEnvironment],
		Nodes: o.nodes, GPUs: o.nodes * devices(o.template), Created: o.meta.CreationTimestamp.Time, Admitted: o.admitted, Deleting: o.meta.DeletionTimestamp != nil,
	}
	pods := newestPods(all)
	r.Attempt = o.attempt(pods)
	for _, p := range pods {
		if p.Spec.NodeName != "" && !slices.Contains(r.Where, p.Spec.NodeName) {
			r.Where = append(r.Where, p.Spec.NodeName)
		}
		for _, s := range podContainers(p) {
			at := s.State.Running
			if t := s.State.Terminated; t != nil {
				at = &corev1.ContainerStateRunning{StartedAt: t.StartedAt}
			}
			if at != nil && !at.StartedAt.IsZero() && (r.Started.IsZero() || at.StartedAt.Time.Before(r.Started)) {
				r.Started = at.StartedAt.Time
			}
		}
	}
	slices.Sort(r.Where)
	if len(pods) > 0 && rank(pods[0]) == 0 {
		r.pod = pods[0].Name
		if t := containerStatus(pods[0], publisherName).State.Terminated; t != nil {
			r.Termination = t.Message
		}
	}
	o.judge(&r, pods)
	return r
}

// judge finds the phase, with its reason.
func (o runObject) judge(r *RunStatus, pods []*corev1.Pod) {
	switch {
	case o.end != nil && o.end.Type == string(batchv1.JobComplete):
		r.Phase, r.Ended = RunSucceeded, o.end.LastTransitionTime.Time
	case o.end != nil:
		r.Phase, r.Ended = RunFailed, o.end.LastTransitionTime.Time
		r.Reason, r.Message = cmp.Or(o.end.Reason, "Failed"), clipped(o.end.Message)
		if text, reason := firstFailure(pods); text != "" {
			r.Message = text + "; " + r.Message
			r.Reason = cmp.Or(reason, r.Reason)
		}
	case o.suspended:
		r.Phase, r.Reason, r.Message = RunQueued, "Suspended", "it waits for admission"
	case len(pods) == 0:
		r.Phase, r.Reason, r.Message = RunStarting, "NoPods", "it has no pods yet"
	default:
		r.Phase, r.Reason, r.Message = podsPhase(pods)
	}
}

// podsPhase is that of the pods that are behind, since they train together: one that has no place holds up all.
func podsPhase(pods []*corev1.Pod) (phase RunPhase, reason, message string) {
	running, trained := false, 0
	for _, p := range pods {
		s := condition(p, corev1.PodScheduled)
		if s.Status == corev1.ConditionFalse && p.Spec.NodeName == "" {
			return RunQueued, s.Reason, clipped(s.Message)
		}
		trainer := containerStatus(p, trainerName)
		running = running || trainer.State.Running != nil
		if t := trainer.State.Terminated; t != nil && t.ExitCode == 0 || p.Status.Phase == corev1.PodSucceeded {
			trained++
		}
	}
	if text, reason := firstFailure(pods); text != "" {
		return RunStarting, cmp.Or(reason, "Retrying"), text + "; another attempt follows"
	}
	for _, p := range pods {
		for _, s := range podContainers(p) {
			if w := s.State.Waiting; w != nil && phase == "" {
				if h := waitingHealth(p, s); h.State != Progressing {
					phase, reason, message = RunStarting, h.Reason, clipped(h.Message)
				}
			}
		}
	}
	switch {
	case trained == len(pods) && phase == RunStarting: // it is the publisher that can't start
		return RunPublishing, reason, message
	case phase != "":
		return phase, reason, message
	case trained == len(pods):
		return RunPublishing, "", ""
	case running || trained > 0:
		return RunRunning, "", ""
	}
	return RunStarting, "", ""
}

// firstFailure tells of the container that failed first: where several nodes train together, the others fail of that.
// The reason is empty unless it says more than that the container failed.
func firstFailure(pods []*corev1.Pod) (text, reason string) {
	var first *corev1.ContainerStateTerminated
	for _, p := range pods {
		if gone := condition(p, corev1.DisruptionTarget); gone.Status == corev1.ConditionTrue && text == "" {
			text, reason = fmt.Sprintf("pod %s was disrupted: %s", p.Name, clipped(gone.Message)), gone.Reason
		}
		for _, s := range podContainers(p) {
			t := s.State.Terminated
			if t == nil || t.ExitCode == 0 || first != nil && !t.FinishedAt.Before(&first.FinishedAt) {
				continue
			}
			first = t
			text, reason = containerFailure(p, s.Name, t)
		}
	}
	return text, reason
}

func containerFailure(p *corev1.Pod, name string, t *corev1.ContainerStateTerminated) (text, reason string) {
	text = fmt.Sprintf("container %q of rank %d exited with code %d", name, rank(p), t.ExitCode)
	if t.Reason == "OOMKilled" {
		text, reason = fmt.Sprintf("container %q of rank %d was killed because it needs more memory than its limit", name, rank(p)), t.Reason
	}
	if last := lastLine(t.Message); last != "" {
		text += ": " + last
	}
	return text, reason
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return clipped(text[strings.LastIndexByte(text, '\n')+1:])
}

// newestPods has one pod of each rank, by rank: those of attempts before are past. A pod that is being deleted counts
// while there is no other.
func newestPods(all []*corev1.Pod) []*corev1.Pod {
	byRank := map[int]*corev1.Pod{}
	for _, p := range all {
		was := byRank[rank(p)]
		deleting, wasDeleting := p.DeletionTimestamp != nil, was != nil && was.DeletionTimestamp != nil
		switch {
		case was == nil, wasDeleting && !deleting, wasDeleting == deleting && was.CreationTimestamp.Before(&p.CreationTimestamp):
			byRank[rank(p)] = p
		}
	}
	var pods []*corev1.Pod
	for _, p := range byRank {
		pods = append(pods, p)
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return rank(a) - rank(b) })
	return pods
}

// rank is the pod's number among the run's: the completion index, 0 without one.
func rank(p *corev1.Pod) int {
	n, _ := strconv.Atoi(cmp.Or(p.Labels[batchv1.JobCompletionIndexAnnotation], p.Annotations[batchv1.JobCompletionIndexAnnotation]))
	return n
}

// attempt counts by what the controllers count.
func (o runObject) attempt(pods []*corev1.Pod) int {
	if len(pods) == 0 {
		return 0
	}
	n := o.restarts
	for _, p := range pods {
		failures, _ := strconv.Atoi(p.Annotations[batchv1.JobIndexFailureCountAnnotation])
		n = max(n, failures)
	}
	return max(n, o.failed) + 1
}

// devices are the GPUs of one pod: what the trainer asks for by the name of a device plugin's resource.
func devices(spec corev1.PodSpec) (n int) {
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		for name, q := range c.Resources.Limits {
			if c.Name == trainerName && strings.Contains(string(name), "/") {
				n += int(q.Value())
			}
		}
	}
	return n
}

func podContainers(p *corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses)
}

func containerStatus(p *corev1.Pod, name string) corev1.ContainerStatus {
	for _, s := range podContainers(p) {
		if s.Name == name {
			return s
		}
	}
	return corev1.ContainerStatus{}
}

var progressForm = regexp.MustCompile(`^\d+/\d+( .*)?$`)

// lastProgress is the last progress in a log of any length.
func lastProgress(log io.Reader) (last string) {
	lines := bufio.NewReaderSize(log, 64<<10)
	for cut := false; ; {
		line, more, err := lines.ReadLine()
		if err != nil {
			return last
		}
		// Progress bars go back to the line's beginning.
		text := string(line[strings.LastIndexByte(string(line), '\r')+1:])
		if text, ok := strings.CutPrefix(text, progressPrefix); ok && !cut && progressForm.MatchString(text) {
			last = clipped(text)
		}
		cut = more
	}
}
