package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/davit-dev/davit/reconciler/cluster"
)

// No node takes these pods: the test is their kubelet.
const runJob = `apiVersion: batch/v1
kind: Job
metadata: {name: tune-1, namespace: NS, labels: &labels {davit.dev/run: tune-1, davit.dev/model: iris, davit.dev/training: tune, davit.dev/environment: lab}}
spec:
  completions: 1
  parallelism: 1
  backoffLimit: 0
  podFailurePolicy: {rules: [{action: Ignore, onPodConditions: [{type: DisruptionTarget, status: "True"}]}]}
  template:
    metadata: {labels: {davit.dev/run: tune-1}}
    spec:
      restartPolicy: Never
      nodeSelector: {pool: none}
      initContainers: [{name: trainer, image: "registry.example.com/trainer:1", resources: {limits: {nvidia.com/gpu: 2}}}]
      containers: [{name: publisher, image: "registry.example.com/davit:1"}]`

const runService = `apiVersion: v1
kind: Service
metadata: {name: tune-1, namespace: NS, labels: {davit.dev/run: tune-1}}
spec: {clusterIP: None, selector: {davit.dev/run: tune-1}, ports: [{port: 29500}]}`

func runObjects(t *testing.T, ns string, texts ...string) []*unstructured.Unstructured {
	t.Helper()
	return objects(t, strings.ReplaceAll(strings.ReplaceAll(strings.Join(texts, "\n---\n"), "NS", ns), "&labels ", ""))
}

func applyRun(t *testing.T, c *cluster.Cluster, ns string, texts ...string) {
	t.Helper()
	if err := c.ApplyRun(t.Context(), runObjects(t, ns, texts...)); err != nil {
		t.Fatal(err)
	}
}

// reaches waits until the run is as check wants it.
func reaches(t *testing.T, c *cluster.Cluster, ns string, phase cluster.RunPhase, says string) *cluster.RunStatus {
	t.Helper()
	var r *cluster.RunStatus
	eventually(t, func() (err error) {
		if r, err = c.Run(t.Context(), ns, "tune-1"); err != nil {
			return err
		}
		if r == nil || r.Phase != phase || !strings.Contains(r.Reason+": "+r.Message, says) {
			return fmt.Errorf("got %+v, want %s: %s", r, phase, says)
		}
		return nil
	})
	return r
}

// runPods waits for n pods that have not ended and that the scheduler refused.
func runPods(t *testing.T, ns string, n int) (pods []corev1.Pod) {
	t.Helper()
	eventually(t, func() error {
		list, err := client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "davit.dev/run=tune-1", FieldSelector: "status.phase=Pending"})
		if err != nil {
			return err
		}
		if pods = list.Items; len(pods) != n {
			return fmt.Errorf("there are %d pods, want %d", len(pods), n)
		}
		for _, p := range pods { // or the scheduler's word would come after the kubelet's
			if !slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodScheduled }) {
				return fmt.Errorf("pod %s is not looked at by the scheduler yet", p.Name)
			}
		}
		return nil
	})
	return pods
}

// kubelet reports what containers do.
func kubelet(t *testing.T, pod corev1.Pod, phase corev1.PodPhase, trainer, publisher corev1.ContainerState) {
	t.Helper()
	eventually(t, func() error { // the scheduler writes too
		p, err := client.CoreV1().Pods(pod.Namespace).Get(t.Context(), pod.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		p.Status.Phase = phase
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}}
		p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "trainer", State: trainer}}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "publisher", State: publisher}}
		_, err = client.CoreV1().Pods(pod.Namespace).UpdateStatus(t.Context(), p, metav1.UpdateOptions{})
		return err
	})
}

var (
	isRunning = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}
	isWaiting = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}
)

func hasEnded(code int32, reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: code, Reason: reason, Message: message, StartedAt: metav1.Now(), FinishedAt: metav1.Now(),
	}}
}

// TestRunPhases takes a run from the scheduler's refusal to its end.
func TestRunPhases(t *testing.T) {
	c, ns := open(t)
	if r, err := c.Run(t.Context(), ns, "tune-1"); r != nil || err != nil {
		t.Fatalf("before: got %v, %v", r, err)
	}
	applyRun(t, c, ns, runJob)
	r := reaches(t, c, ns, cluster.RunQueued, "Unschedulable: 0/")
	want(t, "the run", fmt.Sprint(r.Kind, " ", r.Training, " ", r.Environment, " ", r.GPUs, " ", r.Nodes, " ", r.Attempt), "Job iris/tune lab 2 1 1")
	pod := runPods(t, ns, 1)[0]
	pulling := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such host"}}
	kubelet(t, pod, corev1.PodPending, pulling, isWaiting)
	reaches(t, c, ns, cluster.RunStarting, `ImagePullBackOff: container "trainer" waits: no such host`)
	kubelet(t, pod, corev1.PodPending, isRunning, isWaiting)
	if r := reaches(t, c, ns, cluster.RunRunning, ""); r.Started.IsZero() {
		t.Error("a run that runs has no start")
	}
	kubelet(t, pod, corev1.PodRunning, hasEnded(0, "Completed", ""), isRunning)
	reaches(t, c, ns, cluster.RunPublishing, "")
	kubelet(t, pod, corev1.PodSucceeded, hasEnded(0, "Completed", ""), hasEnded(0, "Completed", `{"digest":"sha256:aa"}`))
	r = reaches(t, c, ns, cluster.RunSucceeded, "")
	want(t, "termination message", r.Termination, `{"digest":"sha256:aa"}`)
	if r.Ended.IsZero() {
		t.Error("a run that succeeded has no end")
	}
}

// TestRunFails tells the exit code and the last line, not only that a limit was reached.
func TestRunFails(t *testing.T) {
	c, ns := open(t)
	applyRun(t, c, ns, runJob)
	pod := runPods(t, ns, 1)[0]
	kubelet(t, pod, corev1.PodFailed, hasEnded(1, "Error", "Traceback\nValueError: no such column\n"), isWaiting)
	r := reaches(t, c, ns, cluster.RunFailed, `BackoffLimitExceeded: container "trainer" of rank 0 exited with code 1: ValueError: no such column; Job has reached`)
	want(t, "attempt", fmt.Sprint(r.Attempt), "1")
}

// TestRunRetries sees the next attempt after a lack of memory.
func TestRunRetries(t *testing.T) {
	c, ns := open(t)
	applyRun(t, c, ns, strings.Replace(runJob, "backoffLimit: 0", "backoffLimit: 1", 1))
	// The Job's controller takes the end of all containers for that of the pod, and waits 10 s after it: 20 s in all, so
	// that what is said until then is seen.
	ended := hasEnded(137, "OOMKilled", "")
	ended.Terminated.FinishedAt.Time = ended.Terminated.FinishedAt.Add(10 * time.Second)
	kubelet(t, runPods(t, ns, 1)[0], corev1.PodFailed, ended, ended)
	reaches(t, c, ns, cluster.RunStarting, "OOMKilled: container \"trainer\" of rank 0 was killed because it needs more memory than its limit; another attempt follows")
	kubelet(t, runPods(t, ns, 1)[0], corev1.PodPending, isRunning, isWaiting)
	want(t, "attempt", fmt.Sprint(reaches(t, c, ns, cluster.RunRunning, "").Attempt), "2")
}

// TestRunOfTwo waits for the last of two nodes.
func TestRunOfTwo(t *testing.T) {
	c, ns := open(t)
	two := strings.NewReplacer("completions: 1", "completions: 2\n  completionMode: Indexed", "parallelism: 1", "parallelism: 2",
		"backoffLimit: 0", "backoffLimitPerIndex: 0").Replace(runJob)
	applyRun(t, c, ns, two, runService)
	pods := runPods(t, ns, 2)
	kubelet(t, pods[0], corev1.PodPending, isRunning, isWaiting)
	r := reaches(t, c, ns, cluster.RunQueued, "Unschedulable")
	want(t, "GPUs of both nodes", fmt.Sprint(r.GPUs, " ", r.Nodes), "4 2")
	kubelet(t, pods[1], corev1.PodPending, isRunning, isWaiting)
	reaches(t, c, ns, cluster.RunRunning, "")
	kubelet(t, pods[0], corev1.PodRunning, hasEnded(0, "Completed", ""), isRunning)
	reaches(t, c, ns, cluster.RunRunning, "")
	kubelet(t, pods[1], corev1.PodRunning, hasEnded(0, "Completed", ""), isRunning)
	reaches(t, c, ns, cluster.RunPublishing, "")
}

// TestRunSuspended waits for a queue; without Kueue nobody knows more.
func TestRunSuspended(t *testing.T) {
	c, ns := open(t)
	applyRun(t, c, ns, strings.Replace(runJob, "spec:\n", "spec:\n  suspend: true\n", 1))
	reaches(t, c, ns, cluster.RunQueued, "Suspended: it waits for admission")
}

// TestApplyRun creates once, and makes what is beside the Job the Job's.
func TestApplyRun(t *testing.T) {
	c, ns := open(t)
	applyRun(t, c, ns, runJob, runService)
	job, err := client.BatchV1().Jobs(ns).Get(t.Context(), "tune-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// Rendered otherwise, it is still the run that happens once.
	applyRun(t, c, ns, strings.Replace(runJob, "trainer:1", "trainer:2", 1), runService)
	again, err := client.BatchV1().Jobs(ns).Get(t.Context(), "tune-1", metav1.GetOptions{})
	if err != nil || again.UID != job.UID || again.Generation != job.Generation {
		t.Errorf("the second apply changed the Job: %v, %v", again, err)
	}
	s, err := client.CoreV1().Services(ns).Get(t.Context(), "tune-1", metav1.GetOptions{})
	if err != nil || len(s.OwnerReferences) != 1 || s.OwnerReferences[0].UID != job.UID {
		t.Errorf("the Service's owners: %v, %v", s.OwnerReferences, err)
	}
}

// TestApplyRunRefuses leaves alone what is another's, wherever and whatever it is.
func TestApplyRunRefuses(t *testing.T) {
	c, ns := open(t)
	theirs := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "tune-1", Labels: map[string]string{"davit.dev/run": "tune-1"}},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 1}}}}
	if _, err := client.CoreV1().Services(ns).Create(t.Context(), theirs, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var conflict *cluster.ConflictError
	if err := c.ApplyRun(t.Context(), runObjects(t, ns, runJob, runService)); !errors.As(err, &conflict) {
		t.Errorf("a Service that davit did not apply: got %v", err)
	}
	if _, err := client.BatchV1().Jobs(ns).Get(t.Context(), "tune-1", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the Job exists nevertheless: %v", err)
	}
	applyRun(t, c, ns, runJob)
	other := strings.Replace(runJob, "davit.dev/run: tune-1, ", "davit.dev/run: tune-2, ", 1)
	if err := c.ApplyRun(t.Context(), runObjects(t, ns, other)); !errors.As(err, &conflict) {
		t.Errorf("another run's Job: got %v", err)
	}
	var refused *cluster.RefusedError
	narrow := reopen(t, ns, func(cfg *cluster.Config) { cfg.Kinds = []schema.GroupKind{{Group: "batch", Kind: "Job"}} })
	if err := narrow.ApplyRun(t.Context(), runObjects(t, ns, runJob, runService)); !errors.As(err, &refused) || !strings.Contains(err.Error(), "kind Service is not allowed here") {
		t.Errorf("a kind that is not allowed: got %v", err)
	}
}

// TestDeleteRun takes the Job, its pods and its Service.
func TestDeleteRun(t *testing.T) {
	c, ns := open(t)
	applyRun(t, c, ns, runJob, runService)
	runPods(t, ns, 1)
	for range 2 {
		if err := c.DeleteRun(t.Context(), ns, "tune-1"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() error {
		r, err := c.Run(t.Context(), ns, "tune-1")
		pods, podErr := client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
		services, serviceErr := client.CoreV1().Services(ns).List(t.Context(), metav1.ListOptions{})
		if err := errors.Join(err, podErr, serviceErr); err != nil {
			return err
		}
		if r != nil || len(pods.Items)+len(services.Items) > 0 {
			return fmt.Errorf("there are %v, %d pods, %d services", r, len(pods.Items), len(services.Items))
		}
		return nil
	})
}

// TestWatchRuns tells of what is there, of what comes and of what goes.
func TestWatchRuns(t *testing.T) {
	c, ns := open(t)
	applyRun(t, c, ns, runJob)
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	told := 0
	ended := make(chan error, 1)
	go func() {
		ended <- c.WatchRuns(ctx, func(namespace, run string) {
			if namespace == ns && run == "tune-1" {
				mu.Lock()
				told++
				mu.Unlock()
			}
		})
	}()
	more := func(what string, than int) (now int) {
		eventually(t, func() error {
			mu.Lock()
			defer mu.Unlock()
			if now = told; now <= than {
				return fmt.Errorf("%s: nothing was told", what)
			}
			return nil
		})
		return now
	}
	more("at the start", 0)
	pod := runPods(t, ns, 1)[0]
	quiet := func() int { mu.Lock(); defer mu.Unlock(); return told }
	reaches(t, c, ns, cluster.RunQueued, "Unschedulable")
	before := quiet()
	kubelet(t, pod, corev1.PodPending, isRunning, isWaiting)
	before = more("a pod's status", before)
	if err := c.DeleteRun(t.Context(), ns, "tune-1"); err != nil {
		t.Fatal(err)
	}
	more("a deletion", before)
	stop()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the watch ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("the watch goes on after its end")
	}
}

// TestClusterUID is the same from anywhere.
func TestClusterUID(t *testing.T) {
	c, ns := open(t)
	one, err := c.UID(t.Context())
	two, otherErr := reopen(t, ns).UID(t.Context())
	if err != nil || otherErr != nil || one == "" || one != two {
		t.Errorf("got %q and %q, %v, %v", one, two, err, otherErr)
	}
}

const runJobSet = `apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata: {name: tune-1, namespace: NS, labels: {davit.dev/run: tune-1, davit.dev/model: iris, davit.dev/training: tune}}
spec:
  failurePolicy: {maxRestarts: 1, restartStrategy: BlockingRecreate}
  replicatedJobs:
    - name: node
      replicas: 1
      template:
        spec:
          completions: 2
          parallelism: 2
          completionMode: Indexed
          backoffLimit: 0
          template:
            metadata: {labels: {davit.dev/run: tune-1}}
            spec:
              restartPolicy: Never
              nodeSelector: {pool: none}
              containers: [{name: trainer, image: "registry.example.com/trainer:1"}]`

// TestRunJobSet follows two nodes through a restart of both to their failure, by JobSet's own controller.
func TestRunJobSet(t *testing.T) {
	if os.Getenv("DAVIT_TEST_KUBECONFIG") != "" {
		t.Skip("the cluster may have no JobSet")
	}
	c, ns := open(t)
	eventually(t, func() error { return c.ApplyRun(t.Context(), runObjects(t, ns, runJobSet)) }) // its webhook may just begin
	r := reaches(t, c, ns, cluster.RunQueued, "Unschedulable")
	want(t, "the run", fmt.Sprint(r.Kind, " ", r.Nodes, " ", r.Attempt), "JobSet 2 1")
	trainer := func(pod corev1.Pod, phase corev1.PodPhase, state corev1.ContainerState) {
		eventually(t, func() error {
			p, err := client.CoreV1().Pods(ns).Get(t.Context(), pod.Name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			p.Status.Phase, p.Status.Conditions = phase, []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}}
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "trainer", State: state}}
			_, err = client.CoreV1().Pods(ns).UpdateStatus(t.Context(), p, metav1.UpdateOptions{})
			return err
		})
	}
	pods := runPods(t, ns, 2)
	for _, p := range pods {
		trainer(p, corev1.PodRunning, isRunning)
	}
	reaches(t, c, ns, cluster.RunRunning, "")
	trainer(pods[0], corev1.PodFailed, hasEnded(1, "Error", "lost a peer"))
	pods = runPods(t, ns, 2)
	want(t, "attempt", fmt.Sprint(reaches(t, c, ns, cluster.RunQueued, "Unschedulable").Attempt), "2")
	trainer(pods[0], corev1.PodFailed, hasEnded(1, "Error", "lost a peer"))
	reaches(t, c, ns, cluster.RunFailed, "lost a peer")
	all, err := c.Runs(t.Context(), ns)
	if err != nil || len(all) != 1 {
		t.Errorf("the JobSet's Jobs count as runs: %v, %v", all, err)
	}
}
