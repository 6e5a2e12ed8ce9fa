package reconciler_test

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
)

// failing has each pod of the trainings' namespace fail that no node has room for, and counts them.
func (w *trainingWorld) failing() (failed func() int) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done, seen := make(chan struct{}), map[string]bool{}
	pods := w.kubectl().CoreV1().Pods(w.namespace("staging"))
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: cluster.LabelRun})
			if err != nil {
				continue
			}
			for _, p := range list.Items {
				if p.Status.Phase != corev1.PodPending {
					continue
				}
				p.Status.Phase = corev1.PodFailed
				p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "trainer", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error"}}}}
				if _, err := pods.UpdateStatus(ctx, &p, metav1.UpdateOptions{}); err == nil {
					seen[string(p.UID)] = true
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	w.t.Cleanup(cancel)
	return func() int {
		cancel()
		<-done
		return len(seen)
	}
}

// A run of several nodes ends at its deadline, though each of its attempts has not reached its own.
func TestTrainingDeadline(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	w.edit("environments/staging/environment.yaml", `{kubernetes: "1.37"}`, `{kubernetes: "1.37", features: [jobset]}`)
	w.spec("1000", "  nodes: 2", "  resources: {cpu: 100000}", "  retries: 1000", "  deadline: 45s")
	w.commit("train iris on two nodes")
	failed := w.failing()
	w.train()
	run := w.ended(w.hash(), gitops.RunFailed)
	if run.Reason != "DeadlineExceeded" || !strings.Contains(run.Message, "45s after it began") {
		t.Errorf("ledger says %+v", run)
	}
	if n := failed(); n < 4 {
		t.Errorf("%d pods failed, which is no second attempt", n)
	}
	if live, err := w.cluster.Run(t.Context(), w.namespace("staging"), run.Name); err != nil || live != nil && !live.Deleting {
		t.Errorf("its objects are %+v, %v", live, err)
	}
}
