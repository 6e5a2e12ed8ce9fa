package devcluster

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestControllers(t *testing.T) {
	began := time.Now()
	c := start(t, Config{Nodes: 2, GPUs: 8, Controllers: Controllers()})
	t.Logf("ready after %v", time.Since(began))
	kubectl(t, c, "wait", "serviceaccount/default", "--for=create", "--timeout=300s")

	kubectl(t, c, "apply", "-f", "testdata/jobset.yaml")
	kubectl(t, c, "wait", "jobset/train", "--for=condition=Completed", "--timeout=300s")
	if got := kubectl(t, c, "get", "pods", "-l", "jobset.sigs.k8s.io/jobset-name=train", "-o", "jsonpath={.items[*].status.phase}"); got != "Succeeded Succeeded" {
		t.Errorf("phases of the JobSet's pods: got %q, want two that succeeded", got)
	}

	kubectl(t, c, "apply", "-f", "testdata/leaderworkerset.yaml")
	kubectl(t, c, "wait", "leaderworkerset/serve", "--for=condition=Available", "--timeout=300s")
	// What a worker learns of its leader comes from the webhook on pods.
	const env = `jsonpath={.spec.containers[0].env[?(@.name=="LWS_LEADER_ADDRESS")].value}`
	if got := kubectl(t, c, "get", "pod", "serve-0-1", "-o", env); got != "serve-0.serve.default" {
		t.Errorf("the worker's LWS_LEADER_ADDRESS: got %q, want serve-0.serve.default", got)
	}

	queues(t, c)

	// The CRDs alone would take these; the webhooks do not.
	for _, wrong := range []struct{ object, want string }{
		{`{apiVersion: jobset.x-k8s.io/v1alpha2, kind: JobSet, metadata: {name: wrong},
			spec: {successPolicy: {operator: All, targetReplicatedJobs: [none]}}}`, "invalid replicatedJob name 'none'"},
		{`{apiVersion: leaderworkerset.x-k8s.io/v1, kind: LeaderWorkerSet, metadata: {name: wrong},
			spec: {replicas: -1, leaderWorkerTemplate: {workerTemplate: {spec: {containers: [{name: serve, image: example.com/serve}]}}}}}`, "should be a non-negative integer"},
		{`{apiVersion: kueue.x-k8s.io/v1beta1, kind: ClusterQueue, metadata: {name: wrong}, spec: {cohort: "a b"}}`, "spec.cohort"},
	} {
		cmd := exec.CommandContext(t.Context(), c.Bin("kubectl"), "--kubeconfig="+c.Kubeconfig, "apply", "-f", "-")
		cmd.Stdin = strings.NewReader(strings.ReplaceAll(wrong.object, "\t", " "))
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), wrong.want) {
			t.Errorf("%s: got %v, want its webhook's refusal: %s", wrong.object, err, out)
		}
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	expectGone(t, c)
}

// queues has Kueue let one Job start and hold a JobSet back until there is room for both of its pods.
func queues(t *testing.T, c *Cluster) {
	t.Helper()
	kubectl(t, c, "apply", "-f", "testdata/kueue.yaml")
	kubectl(t, c, "wait", "job/fits", "--for=jsonpath={.status.active}=1", "--timeout=300s")
	kubectl(t, c, "apply", "-f", "testdata/kueue-jobset.yaml")
	const held = `jsonpath={.items[*].status.conditions[?(@.type=="QuotaReserved")].message}`
	deadline := time.Now().Add(time.Minute)
	for said := ""; !strings.Contains(said, "insufficient unused quota for nvidia.com/gpu"); _ = pause(t.Context()) {
		if said = kubectl(t, c, "get", "workloads", "-o", held); time.Now().After(deadline) {
			t.Fatalf("what is said of the queue's workloads: %q", said)
		}
	}
	if got := kubectl(t, c, "get", "jobset/waits", "-o", "jsonpath={.spec.suspend}"); got != "true" {
		t.Errorf("the JobSet without room is suspended: %q, want true", got)
	}
	kubectl(t, c, "delete", "job/fits")
	kubectl(t, c, "wait", "jobset/waits", "--for=condition=Completed", "--timeout=300s")
}
