package cluster

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The labels by which Kueue takes a run.
const (
	labelQueue    = "kueue.x-k8s.io/queue-name"
	labelPriority = "kueue.x-k8s.io/priority-class"
)

var kindWorkloadPriority = schema.GroupKind{Group: "kueue.x-k8s.io", Kind: "WorkloadPriorityClass"}

// unqueued adds why Kueue has made no Workload of a run, and so will not let it start. Kueue itself says that in its log
// alone, and without the priority class that the run names it tries for ever.
func (c *Cluster) unqueued(ctx context.Context, r *RunStatus, labels map[string]string) {
	queue, class := labels[labelQueue], labels[labelPriority]
	if queue == "" {
		return // it is not Kueue that suspends it
	}
	r.Reason, r.Message = "NotQueued", fmt.Sprintf("Kueue has not put it into the queue %s yet", queue)
	if class == "" {
		return
	}
	m, err := c.servedMapping(ctx, kindWorkloadPriority)
	if err != nil || m == nil {
		return
	}
	if _, err := c.dynamic.Resource(m.Resource).Get(ctx, class, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		r.Message += fmt.Sprintf(": WorkloadPriorityClass %q not found", class)
	}
}
