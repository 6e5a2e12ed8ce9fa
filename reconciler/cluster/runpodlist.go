package cluster

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RunPod is a pod of a run.
type RunPod struct {
	Name string `json:"name"`
	// Node is where it is; "" before it has a place.
	Node string `json:"node,omitempty"`
	Rank int    `json:"rank"`
	// Phase is the API's.
	Phase string `json:"phase"`
	// Reason is one word, Message a line for people: why it does not run, or how it ended.
	Reason   string    `json:"reason,omitempty"`
	Message  string    `json:"message,omitempty"`
	GPUs     int       `json:"gpus"`
	Restarts int       `json:"restarts"`
	Created  time.Time `json:"created"`
	// Past says that another pod has its rank now: it is of an earlier attempt.
	Past bool `json:"past,omitempty"`
}

// mostRunPods bounds what is told of a run that tries again and again, and of one on many nodes.
const mostRunPods = 200

// RunPods lists the pods of a run, 200 at most, in the order of their ranks, the newest attempt's first. It is davit's own
// user who reads.
func (c *Cluster) RunPods(ctx context.Context, namespace, name string) (all []RunPod, err error) {
	list, err := c.typed.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: LabelRun + "=" + name, Limit: mostRunPods})
	if err != nil {
		return nil, err
	}
	var pods []*corev1.Pod
	for i := range list.Items {
		pods = append(pods, &list.Items[i])
	}
	newest := newestPods(pods)
	current := map[*corev1.Pod]bool{}
	for _, p := range newest {
		current[p] = true
		all = append(all, runPod(p))
	}
	for _, p := range pods {
		if !current[p] {
			past := runPod(p)
			past.Past = true
			all = append(all, past)
		}
	}
	return all, nil
}

func runPod(p *corev1.Pod) RunPod {
	out := RunPod{
		Name: p.Name, Node: p.Spec.NodeName, Rank: rank(p), Phase: string(p.Status.Phase), GPUs: devices(p.Spec), Created: p.CreationTimestamp.Time,
	}
	for _, s := range podContainers(p) {
		out.Restarts += int(s.RestartCount)
	}
	_, out.Reason, out.Message = podsPhase([]*corev1.Pod{p})
	if p.DeletionTimestamp != nil {
		out.Reason = "Deleting"
	}
	return out
}
