package cluster

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

const startup = 10 * time.Minute

// podOf is a pod with one container, not ready since it was created an hour ago.
func podOf(status corev1.ContainerStatus, edits ...func(*corev1.Pod)) *corev1.Pod {
	status.Name = "server"
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "iris-1", Namespace: "ns"},
		Spec:       corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{Name: "server", Image: "reg/vllm@sha256:aa"}}},
		Status: corev1.PodStatus{
			Phase:             corev1.PodPending,
			Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: ago(time.Hour)}},
			ContainerStatuses: []corev1.ContainerStatus{status},
		},
	}
	for _, edit := range edits {
		edit(pod)
	}
	return pod
}

func waits(reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
}

func runs(since time.Duration) corev1.ContainerStatus {
	return corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: ago(since)}}}
}

func ended(code int32, reason, message string) *corev1.ContainerStateTerminated {
	return &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: message, StartedAt: ago(2 * time.Minute), FinishedAt: ago(time.Minute)}
}

func crashed(restarts int32, last *corev1.ContainerStateTerminated) corev1.ContainerStatus {
	s := waits("CrashLoopBackOff", "back-off 10s")
	s.RestartCount, s.LastTerminationState.Terminated = restarts, last
	return s
}

func with(typ corev1.PodConditionType, status corev1.ConditionStatus, reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: typ, Status: status, Reason: reason, Message: message})
	}
}

func TestPods(t *testing.T) {
	imageVolume := func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "model", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "reg/iris@sha256:bb"}}}}
	}
	restarted := runs(time.Minute)
	restarted.RestartCount, restarted.LastTerminationState.Terminated = 2, ended(1, "Error", "")
	slow := runs(time.Minute)
	slow.RestartCount, slow.LastTerminationState.Terminated = 1, &corev1.ContainerStateTerminated{ExitCode: 137, StartedAt: ago(11 * time.Minute)}
	allReady := runs(time.Hour)
	allReady.Ready = true
	for _, test := range []struct {
		name    string
		pods    []*corev1.Pod
		state   State
		reason  string
		message string
	}{
		{"no pods", nil, Ready, "", ""},
		{"no scheduler", []*corev1.Pod{{}}, Progressing, "Starting", "not looked at by a scheduler"},
		{"creating", []*corev1.Pod{podOf(waits("ContainerCreating", ""))}, Progressing, "Starting", ""},
		{"first crash", []*corev1.Pod{podOf(crashed(0, ended(1, "Error", "")))}, Progressing, "Restarting", ""},
		{"second crash", []*corev1.Pod{podOf(crashed(1, ended(1, "Error", "")))}, Progressing, "Restarting", ""},
		{"third crash", []*corev1.Pod{podOf(crashed(2, ended(1, "Error", "no such file")))}, Failed, ReasonCrash, `container "server" exited with code 1, 3 times`},
		{"one crash in each of three pods", []*corev1.Pod{
			podOf(crashed(0, ended(2, "Error", ""))), podOf(crashed(0, ended(2, "Error", ""))), podOf(crashed(0, ended(2, "Error", ""))),
		}, Failed, ReasonCrash, `container "server" exited with code 2, 3 times`},
		{"running again after two", []*corev1.Pod{podOf(restarted)}, Progressing, "NotReady", ""},
		{"out of memory", []*corev1.Pod{podOf(crashed(2, ended(137, "OOMKilled", "")))}, Failed, ReasonCrash, "more memory than its limit"},
		{"crashes of an evicted pod", []*corev1.Pod{podOf(crashed(5, ended(1, "Error", "")), func(p *corev1.Pod) {
			p.Status.Phase, p.Status.Reason = corev1.PodFailed, "Evicted"
		})}, Ready, "", ""},
		{"crashes of a deleted pod", []*corev1.Pod{podOf(crashed(5, ended(1, "Error", "")), func(p *corev1.Pod) {
			d := ago(time.Second)
			p.DeletionTimestamp = &d
		})}, Ready, "", ""},
		{"crashes of a preempted pod", []*corev1.Pod{podOf(crashed(5, ended(1, "Error", "")),
			with(corev1.DisruptionTarget, corev1.ConditionTrue, "PreemptionByScheduler", ""))}, Ready, "", ""},

		{"image never pulled", []*corev1.Pod{podOf(waits("ErrImageNeverPull", "image is not present"))}, Failed, "ErrImageNeverPull", "not present"},
		{"image name", []*corev1.Pod{podOf(waits("InvalidImageName", "couldn't parse"))}, Failed, "InvalidImageName", "couldn't parse"},
		{"tag unknown", []*corev1.Pod{podOf(waits("ErrImagePull", `rpc error: code = NotFound desc = failed to pull and unpack image "reg/vllm@sha256:aa": failed to resolve reference: not found`))},
			Failed, ReasonImageNotFound, "image reg/vllm@sha256:aa does not exist"},
		{"manifest unknown in back-off", []*corev1.Pod{podOf(waits("ImagePullBackOff", `Back-off pulling image "reg/vllm@sha256:aa": ErrImagePull: manifest unknown`))},
			Failed, ReasonImageNotFound, "reg/vllm"},
		{"image volume unknown", []*corev1.Pod{podOf(waits("ImagePullBackOff", `Back-off pulling image "reg/iris@sha256:bb": ErrImagePull: reg/iris@sha256:bb: not found`), imageVolume)},
			Failed, ReasonImageNotFound, "image reg/iris@sha256:bb does not exist"},
		{"registry does not resolve", []*corev1.Pod{podOf(waits("ErrImagePull", `dial tcp: lookup reg: no such host`))}, Waiting, "ErrImagePull", "no such host"},
		{"no credentials", []*corev1.Pod{podOf(waits("ImagePullBackOff", `pull access denied, repository does not exist or may require authorization: 401 Unauthorized`))},
			Waiting, "ImagePullBackOff", "401"},
		{"secret missing", []*corev1.Pod{podOf(waits("CreateContainerConfigError", `secret "hf" not found`))}, Waiting, "CreateContainerConfigError", `secret "hf" not found`},

		{"starting up in time", []*corev1.Pod{podOf(runs(9 * time.Minute))}, Progressing, "NotReady", ""},
		{"starting up too long", []*corev1.Pod{podOf(runs(11 * time.Minute))}, Failed, ReasonStartupTimeout, "10m0s after its start"},
		{"a restart does not start the count again", []*corev1.Pod{podOf(slow)}, Failed, ReasonStartupTimeout, ""},
		{"unready a minute ago after an hour of service", []*corev1.Pod{podOf(runs(time.Hour), func(p *corev1.Pod) {
			p.Status.Conditions[0].LastTransitionTime = ago(time.Minute)
		})}, Progressing, "NotReady", ""},

		{"no GPU free", []*corev1.Pod{podOf(corev1.ContainerStatus{}, with(corev1.PodScheduled, corev1.ConditionFalse, "Unschedulable", "0/3 nodes: insufficient nvidia.com/gpu"))},
			Waiting, "Unschedulable", "insufficient nvidia.com/gpu"},
		{"node lost", []*corev1.Pod{podOf(allReady)}, Waiting, "NodeLost", "node n1"},
		{"a crash outweighs another pod's waiting", []*corev1.Pod{podOf(crashed(2, ended(1, "Error", ""))), podOf(waits("ImagePullBackOff", "timeout"))}, Failed, ReasonCrash, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := podsHealth(test.pods, startup, now)
			if h.State != test.state || h.Reason != test.reason || !strings.Contains(h.Message, test.message) {
				t.Errorf("got %s %s %q, want %s %s %q", h.State, h.Reason, h.Message, test.state, test.reason, test.message)
			}
		})
	}
}

func TestCrashLogIsApart(t *testing.T) {
	h := podsHealth([]*corev1.Pod{podOf(crashed(2, ended(1, "Error", "loading\nKeyError: 'w1'\n")))}, startup, now)
	if strings.Contains(h.Message, "KeyError") || h.LastLog != "loading\nKeyError: 'w1'" || h.Crashes != 3 {
		t.Errorf("message %q, log %q, crashes %d", h.Message, h.LastLog, h.Crashes)
	}
	if want := `container "server" exited with code 1, 3 times: KeyError: 'w1'`; h.Sentence() != want {
		t.Errorf("sentence %q, want %q", h.Sentence(), want)
	}
}

func TestStartupTellsWhenToLookAgain(t *testing.T) {
	h := podsHealth([]*corev1.Pod{podOf(runs(9 * time.Minute)), podOf(runs(4 * time.Minute))}, startup, now)
	if want := now.Add(time.Minute); !h.Next.Equal(want) {
		t.Errorf("next look at %s, want %s", h.Next, want)
	}
	if h := podsHealth([]*corev1.Pod{podOf(runs(time.Hour))}, 0, now); h.State != Progressing || !h.Next.IsZero() {
		t.Errorf("without a limit: %+v", h)
	}
}

func TestDeployments(t *testing.T) {
	two := int32(2)
	crash3 := []*corev1.Pod{podOf(crashed(2, ended(1, "Error", "")))}
	ready := podOf(corev1.ContainerStatus{Ready: true})
	ready.Status.Conditions[0].Status = corev1.ConditionTrue
	for _, test := range []struct {
		name   string
		status appsv1.DeploymentStatus
		pods   []*corev1.Pod
		state  State
		reason string
	}{
		{"controller did not look yet", appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2}, crash3, Progressing, "Unobserved"},
		{"rolled out", appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2}, []*corev1.Pod{ready}, Ready, ""},
		{"old replicas left", appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 3, UpdatedReplicas: 2, ReadyReplicas: 3, AvailableReplicas: 3}, nil, Progressing, "RollingOut"},
		{"not available yet", appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 1}, []*corev1.Pod{ready}, Progressing, "NotReady"},
		{"crashing", appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 3, UpdatedReplicas: 1, ReadyReplicas: 2, AvailableReplicas: 2}, crash3, Failed, ReasonCrash},
		{"deadline exceeded, pods silent", appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 2, UpdatedReplicas: 2, Conditions: []appsv1.DeploymentCondition{
			{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded"}}}, nil, Waiting, "ProgressDeadlineExceeded"},
		{"deadline exceeded, pods crash", appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 2, UpdatedReplicas: 2, Conditions: []appsv1.DeploymentCondition{
			{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded"}}}, crash3, Failed, ReasonCrash},
		{"quota", appsv1.DeploymentStatus{ObservedGeneration: 3, Conditions: []appsv1.DeploymentCondition{
			{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: `pods "x" is forbidden: exceeded quota: gpu`}}}, nil, Waiting, "NamespaceQuotaExceeded"},
		{"pod security", appsv1.DeploymentStatus{ObservedGeneration: 3, Conditions: []appsv1.DeploymentCondition{
			{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: `pods "x" is forbidden: violates PodSecurity "restricted:latest"`}}}, nil, Failed, "PodForbidden"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "iris", Generation: 3}, Spec: appsv1.DeploymentSpec{Replicas: &two}, Status: test.status}
			h := judge(deploymentHealth(d), test.pods, startup, now)
			if h.State != test.state || h.Reason != test.reason {
				t.Errorf("got %s %s %q, want %s %s", h.State, h.Reason, h.Message, test.state, test.reason)
			}
		})
	}
}

func TestCurrentReplicaSet(t *testing.T) {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "iris", UID: "d", Annotations: map[string]string{revisionAnnotation: "3"}}}
	controller := true
	owned := func(name, owner, revision string) *tracked {
		rs, err := keepSet(&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Name: name, Annotations: map[string]string{revisionAnnotation: revision},
			OwnerReferences: []metav1.OwnerReference{{UID: types.UID(owner), Controller: &controller}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return rs.(*tracked)
	}
	sets := []*tracked{owned("foreign", "other", "3"), owned("old", "d", "2"), owned("back", "d", "3")}
	if rs := currentReplicaSet(d, sets); rs == nil || rs.name != "back" {
		t.Errorf("got %v", rs)
	}
}
