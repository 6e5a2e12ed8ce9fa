package reconciler_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
)

// trainingWorld is a world whose pods run nothing: what their publisher would leave is published by the test.
type trainingWorld struct {
	*world
	ledger *gitops.Ledger
}

const softmax = "models/iris/training/softmax.yaml"

func newTrainingWorld(t *testing.T) *trainingWorld {
	w := newWorld(t)
	const digest = "@sha256:1111111111111111111111111111111111111111111111111111111111111111"
	w.edit("environments/staging/environment.yaml", "  bake: 100ms\n", "  bake: 100ms\n  publisher: {image: registry.example.com/davit"+digest+"}\n")
	w.edit("davit.yaml", "/models", "/"+w.id) // others' runs may have the same hash
	w.commit("a publisher")
	source, err := gitops.Open(t.Context(), gitops.Config{URL: w.dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { source.Close() })
	return &trainingWorld{w, source.NewLedger(gitops.Author{})}
}

// spec writes the training's file; more are further lines of its spec.
func (w *trainingWorld) spec(epochs string, more ...string) {
	w.write(softmax, "apiVersion: davit.dev/v1alpha1\nkind: Training\nspec:\n  environment: staging\n"+
		"  image: registry.example.com/train@sha256:2222222222222222222222222222222222222222222222222222222222222222\n"+
		"  hyperparameters: {epochs: "+epochs+"}\n"+strings.Join(append(more, ""), "\n"))
}

// hash is that of the run that the worktree's spec makes.
func (w *trainingWorld) hash() string {
	w.t.Helper()
	fsys := os.DirFS(w.dir)
	models, err := registry.Load(fsys)
	if err != nil {
		w.t.Fatal(err)
	}
	training := models.Trainings["iris/softmax"]
	if training == nil {
		w.t.Fatalf("no training: %v", models.Faults)
	}
	hash, err := training.RunHash(fsys)
	if err != nil {
		w.t.Fatal(err)
	}
	return hash
}

// publish leaves what the worktree's run makes in the OCI registry, as its publisher would.
func (w *trainingWorld) publish() string {
	w.t.Helper()
	hash, out := w.hash(), w.t.TempDir()
	weights, err := os.ReadFile(filepath.Join(w.dir, "models/iris/files/v2/model.safetensors"))
	if err != nil {
		w.t.Fatal(err)
	}
	for name, data := range map[string][]byte{"model.safetensors": weights, "metrics.json": []byte(`{"accuracy": 0.97}`)} {
		if err := os.WriteFile(filepath.Join(out, name), data, 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	images, err := image.New(image.Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = images.PublishRun(w.t.Context(), registry.RunSpec{
		Repository: dev.Registry + "/" + w.id + "/iris", Model: "iris", Training: "iris/softmax", Run: "softmax-" + hash[:8], Hash: hash,
		Image: "registry.example.com/train@sha256:" + strings.Repeat("2", 64),
	}, os.DirFS(out))
	if err != nil {
		w.t.Fatal(err)
	}
	return hash
}

// train has a reconciler that may write to Git.
func (w *trainingWorld) train() (stop func()) {
	return w.follow(func(c *reconciler.Config) {
		c.Committer = &gitops.Author{Name: "davit", Email: "davit@example.com"}
		c.Name = "here"
	})
}

// run is what the ledger says of one.
func (w *trainingWorld) run(hash string) gitops.Run {
	w.t.Helper()
	runs, err := w.ledger.Runs(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return runs[hash]
}

// serves waits until the release is healthy in staging. A davit that is stopped while it writes so does not report it, and
// the next one finds nothing new to report.
func (w *trainingWorld) serves(version string) {
	w.t.Helper()
	w.drain("staging", "healthy at "+version, func(s v1alpha1.ModelReleaseStatus) bool {
		return s.Phase == v1alpha1.Healthy && s.Healthy.Version == version
	})
}

// ended waits until a run is in a state that it stays in, and for its version where it has one.
func (w *trainingWorld) ended(hash string, as gitops.RunState) gitops.Run {
	w.t.Helper()
	var run gitops.Run
	w.eventually("the end of the run", func() bool {
		run = w.run(hash)
		return run.State.Ended() && (run.State != gitops.RunSucceeded || run.Version != "")
	})
	if run.State != as {
		w.t.Fatalf("run is %s, not %s: %+v", run.State, as, run)
	}
	return run
}

// jobs counts the Jobs that are made from now on in the trainings' namespace, each once.
func (w *trainingWorld) jobs() (made func() []string) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	w.t.Cleanup(cancel)
	watch, err := w.kubectl().BatchV1().Jobs(w.namespace("staging")).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	seen := make(chan string, 1000)
	go func() {
		for e := range watch.ResultChan() {
			if job, ok := e.Object.(*batchv1.Job); ok {
				seen <- job.Name + " " + string(job.UID)
			}
		}
	}()
	var all []string
	return func() []string {
		for {
			select {
			case s := <-seen:
				if !slices.Contains(all, s) {
					all = append(all, s)
				}
				continue
			default:
			}
			return all
		}
	}
}

// A training that is merged runs once: what it made is proposed, and neither a restart, nor the deletion of its Job, nor a
// revert and a merge of the same spec trains again; another attempt does.
func TestTrainingRunsOnce(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	made := w.jobs()
	stop := w.train()
	w.spec("1000", "  version: v{n}")
	hash := w.publish()
	w.commit("train iris")
	run := w.ended(hash, gitops.RunSucceeded)
	if run.Name != "softmax-"+hash[:8] || run.Version != "v4" || run.Metrics["accuracy"] != 0.97 || run.Environment != "staging" || run.Started.IsZero() || run.Controller != "here" {
		t.Fatalf("ledger says %+v", run)
	}
	const branch = "davit/train/iris/v4"
	if text := w.git("show", branch+":models/iris/versions/v4.yaml"); !strings.Contains(text, "trainedBy: "+run.Name) {
		t.Fatalf("version is\n%s", text)
	}
	if files := w.git("diff", "--name-only", "main", branch); files != "models/iris/versions/v4.yaml" {
		t.Fatalf("the proposal changes %s", files)
	}
	stop()

	background := metav1.DeletePropagationBackground
	if err := w.kubectl().BatchV1().Jobs(w.namespace("staging")).Delete(t.Context(), run.Name, metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		t.Fatal(err)
	}
	w.git("revert", "--no-edit", "HEAD")
	stop = w.train()
	w.git("revert", "--no-edit", "HEAD")
	w.git("merge", "-q", "--no-ff", "-m", "Merge v4", branch)
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v4")
	w.commit("iris v4 to staging")
	w.until(staging, "v4", "Healthy") // what a training made can be served, and by then it would have begun again
	w.spec("1000", "  version: v{n}", "  attempt: 2")
	again := w.publish()
	w.commit("train iris again")
	if second := w.ended(again, gitops.RunSucceeded); second.Version != "v5" || again == hash {
		t.Fatalf("another attempt is %+v", second)
	}
	stop()
	if all := made(); len(all) != 2 {
		t.Fatalf("two specs made the Jobs %q", all)
	}
}

// A controller that is stopped at any moment of a run, however often, neither makes a second Job nor loses what was made.
func TestTrainingStoppedAnywhere(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	made := w.jobs()
	w.spec("1000")
	hash := w.publish()
	w.commit("train iris")
	var seen []gitops.RunState
	for pause := 20 * time.Millisecond; ; pause += 20 * time.Millisecond {
		stop := w.train()
		time.Sleep(pause) // the moment is what this is about
		stop()
		run := w.run(hash)
		if !slices.Contains(seen, run.State) {
			seen = append(seen, run.State)
		}
		if run.State == gitops.RunStarted { // its Job goes, as by its TTL
			if err := w.kubectl().BatchV1().Jobs(w.namespace("staging")).Delete(t.Context(), run.Name, deleteNow); err != nil && !apierrors.IsNotFound(err) {
				t.Fatal(err)
			}
		}
		if run.Version != "" {
			break
		}
		if pause > 10*time.Second {
			t.Fatalf("no version yet: %+v", run)
		}
	}
	if all := made(); len(all) != 1 {
		t.Fatalf("the run made the Jobs %q", all)
	}
	if branches := w.git("branch", "--list", "davit/train/*"); len(strings.Fields(branches)) != 1 {
		t.Fatalf("the run made the proposals %q", branches)
	}
	t.Logf("states it was stopped in: %q", seen)
}

// What succeeded without publishing anything is no version.
func TestTrainingWithoutResult(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	w.spec("7")
	w.commit("train iris")
	w.train()
	if run := w.ended(w.hash(), gitops.RunLost); !strings.Contains(run.Message, "left no image") {
		t.Fatalf("ledger says %+v", run)
	}
}

// A training in an environment without a publisher does not start, and the log says what to write.
func TestTrainingWithoutPublisher(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	w.git("revert", "--no-edit", "HEAD")
	made := w.jobs()
	w.spec("7")
	w.commit("train iris")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	w.follow(func(c *reconciler.Config) {
		c.Committer, c.Log = &gitops.Author{Name: "davit", Email: "davit@example.com"}, slog.New(slog.NewTextHandler(log, nil))
	})
	w.eventually("told", func() bool {
		text, err := os.ReadFile(log.Name())
		return err == nil && strings.Contains(string(text), "publisher: {image: …@sha256:…}")
	})
	w.until(staging, "v1", "Healthy")
	if all := made(); len(all) != 0 {
		t.Fatalf("it made the Jobs %q", all)
	}
	if run := w.run(w.hash()); run.State != "" {
		t.Fatalf("ledger says %+v", run)
	}
}

// A ledger that can't be read starts nothing.
func TestTrainingWithoutLedger(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	made := w.jobs()
	blob := w.git("hash-object", "-w", "davit.yaml")
	w.git("update-ref", gitops.RunsRef, blob)
	w.spec("7")
	w.commit("train iris")
	stop := w.train()
	w.until(staging, "v1", "Healthy")
	if _, err := w.ledger.Runs(t.Context()); err == nil {
		t.Fatal("a blob is a ledger")
	}
	stop()
	if all := made(); len(all) != 0 {
		t.Fatalf("it made the Jobs %q", all)
	}
}

// A spec that is removed goes on, unless it says otherwise.
func TestTrainingRemoved(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	w.spec("7", "  onRemove: cancel", "  resources: {cpu: 100000}") // no node has as much: it waits
	hash := w.hash()
	w.commit("train iris")
	w.train()
	w.eventually("started", func() bool { return w.run(hash).State == gitops.RunStarted })
	w.remove(softmax)
	w.commit("train it no more")
	if run := w.ended(hash, gitops.RunCanceled); run.Reason != "SpecRemoved" {
		t.Fatalf("ledger says %+v", run)
	}
	w.eventually("gone", func() bool {
		list, err := w.kubectl().BatchV1().Jobs(w.namespace("staging")).List(t.Context(), metav1.ListOptions{})
		return err == nil && len(list.Items) == 0
	})
}
