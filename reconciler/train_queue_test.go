package reconciler_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

// queue is a queue of the test's own, whose two CPUs a Job has that no node takes.
const queue = `
apiVersion: kueue.x-k8s.io/v1beta1
kind: ResourceFlavor
metadata: {name: ID}
---
apiVersion: kueue.x-k8s.io/v1beta1
kind: ClusterQueue
metadata: {name: ID}
spec:
  namespaceSelector: {}
  resourceGroups:
  - coveredResources: [cpu, memory]
    flavors: [{name: ID, resources: [{name: cpu, nominalQuota: 2}, {name: memory, nominalQuota: 8Gi}]}]
---
apiVersion: kueue.x-k8s.io/v1beta1
kind: LocalQueue
metadata: {name: research, namespace: NS}
spec: {clusterQueue: ID}
---
apiVersion: batch/v1
kind: Job
metadata: {name: greedy, namespace: NS, labels: {kueue.x-k8s.io/queue-name: research}}
spec:
  template:
    spec:
      restartPolicy: Never
      nodeSelector: {pool: none}
      containers: [{name: train, image: "registry.example.com/train:1", resources: {requests: {cpu: 2}}}]
`

// fill makes the queue in the trainings' namespace, and waits until all of it is taken.
func (w *trainingWorld) fill() {
	w.t.Helper()
	if err := w.cluster.EnsureNamespace(w.t.Context(), w.namespace("staging")); err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.CommandContext(w.t.Context(), dev.Bin("kubectl"), "--kubeconfig="+dev.Kubeconfig, "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(strings.NewReplacer("ID", w.id, "NS", w.namespace("staging")).Replace(queue))
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
	w.eventually("taken", func() bool {
		job, err := w.kubectl().BatchV1().Jobs(w.namespace("staging")).Get(w.t.Context(), "greedy", get)
		return err == nil && job.Status.Active == 1
	})
}

// live waits until the cluster has a run in a phase, with this said of it.
func (w *trainingWorld) live(name string, phase cluster.RunPhase, says string) cluster.RunStatus {
	w.t.Helper()
	var last *cluster.RunStatus
	defer func() {
		if w.t.Failed() {
			w.t.Logf("the cluster last said %+v", last)
		}
	}()
	w.eventually(string(phase)+" in the cluster, "+says, func() bool {
		r, err := w.cluster.Run(w.t.Context(), w.namespace("staging"), name)
		if err != nil {
			w.t.Fatal(err)
		}
		last = r
		return r != nil && r.Phase == phase && strings.Contains(r.Reason+": "+r.Message, says)
	})
	return *last
}

// applyAgain applies the worktree's run once more, as a process does whose predecessor ended before it recorded that.
func (w *trainingWorld) applyAgain() {
	w.t.Helper()
	fsys := os.DirFS(w.dir)
	models, err := registry.Load(fsys)
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := render.Training(fsys, models.Trainings["iris/softmax"], w.hash(), "")
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.cluster.ApplyRun(w.t.Context(), out.Objects); err != nil {
		w.t.Fatal(err)
	}
}

// Kueue holds a run back while its queue has no room, davit says why, and neither a restart nor another apply meanwhile
// makes another run or starts this one; once there is room, it runs and what it made is proposed.
func TestTrainingQueued(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, features, nodes, kind, says string }{
		{"Job", "[kueue]", "1", "Job", "insufficient unused quota for cpu in flavor ID, 1"},
		{"JobSet", "[kueue, jobset]", "2", "JobSet", "insufficient unused quota for cpu in flavor ID, 2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newTrainingWorld(t)
			w.fill()
			w.edit("environments/staging/environment.yaml", `{kubernetes: "1.37"}`, `{kubernetes: "1.37", features: `+test.features+`}`)
			w.spec("1000", "  nodes: "+test.nodes, "  queue: research", "  resources: {cpu: 1}", "  version: v{n}")
			hash := w.publish()
			name := "softmax-" + hash[:8]
			w.commit("train iris in a queue")
			stop := w.train()
			w.eventually("started", func() bool { return w.run(hash).State == gitops.RunStarted })
			says := "Pending: couldn't assign flavors to pod set"
			held := w.live(name, cluster.RunQueued, says)
			if want := strings.ReplaceAll(test.says, "ID", w.id); held.Kind != test.kind || !strings.Contains(held.Message, want) {
				t.Errorf("the run is held back as %+v, want a %s and %q", held, test.kind, want)
			}
			stop()
			w.applyAgain()
			stop = w.train()
			w.serves("v1")
			if again := w.live(name, cluster.RunQueued, says); again.UID != held.UID || w.run(hash).State != gitops.RunStarted {
				t.Errorf("after a restart the run is %+v, before it was %+v; the ledger says %+v", again, held, w.run(hash))
			}
			background := metav1.DeletePropagationBackground
			if err := w.kubectl().BatchV1().Jobs(w.namespace("staging")).Delete(t.Context(), "greedy", metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
				t.Fatal(err)
			}
			if run := w.ended(hash, gitops.RunSucceeded); run.Version != "v4" {
				t.Errorf("ledger says %+v", run)
			}
			if done := w.live(name, cluster.RunSucceeded, ""); done.UID != held.UID {
				t.Errorf("another run ended: %+v, held back was %+v", done, held)
			}
			w.applyAgain() // with all that Kueue and the controllers changed since
			if done := w.live(name, cluster.RunSucceeded, ""); done.UID != held.UID {
				t.Errorf("applied again it is another run: %+v", done)
			}
			stop()
		})
	}
}

// What Kueue does not even put into a queue says why, too.
func TestTrainingOfNoQueue(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, queue, says string }{
		{"queue", "  queue: nobody", "LocalQueue nobody doesn't exist"},
		{"priority", "  queue: research\n  priority: nobody", `the queue research yet: WorkloadPriorityClass "nobody" not found`},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newTrainingWorld(t)
			w.fill()
			w.edit("environments/staging/environment.yaml", `{kubernetes: "1.37"}`, `{kubernetes: "1.37", features: [kueue]}`)
			w.spec("1000", test.queue, "  resources: {cpu: 1}")
			hash := w.hash()
			w.commit("train iris in no queue")
			w.train()
			w.eventually("started", func() bool { return w.run(hash).State == gitops.RunStarted })
			w.live("softmax-"+hash[:8], cluster.RunQueued, test.says)
		})
	}
}
