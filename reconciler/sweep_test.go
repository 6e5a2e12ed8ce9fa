package reconciler_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/davit-dev/davit/gitops"
	forges "github.com/davit-dev/davit/gitops/forge"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
)

// swept are lines of a spec with a sweep.
func swept(hyperparameters, more string) string {
	return "  version: v{n}\n  sweep: {hyperparameters: " + hyperparameters + ", metric: accuracy" + more + "}"
}

// waiting keeps pods from running: no node has as much.
const waiting = "  resources: {cpu: 100000}"

// trials are the hashes of the runs that the worktree's sweep makes.
func (w *trainingWorld) trials() (hashes []string) {
	w.t.Helper()
	fsys := os.DirFS(w.dir)
	models, err := registry.Load(fsys)
	if err != nil || models.Trainings["iris/softmax"] == nil {
		w.t.Fatal(err, models.Faults)
	}
	for _, trial := range models.Trainings["iris/softmax"].Trials() {
		hash, err := trial.RunHash(fsys)
		if err != nil {
			w.t.Fatal(err)
		}
		hashes = append(hashes, hash)
	}
	return hashes
}

// leave leaves what a run makes in the OCI registry, as its publisher would; without metrics where there are none.
func (w *trainingWorld) leave(hash, metrics string) {
	w.t.Helper()
	out := w.t.TempDir()
	weights, err := os.ReadFile(filepath.Join(w.dir, "models/iris/files/v2/model.safetensors"))
	if err != nil {
		w.t.Fatal(err)
	}
	files := map[string][]byte{"model.safetensors": weights}
	if metrics != "" {
		files["metrics.json"] = []byte(metrics)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(out, name), data, 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	images, err := image.New(image.Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err = images.PublishRun(w.t.Context(), registry.RunSpec{
		Repository: dev.Registry + "/" + w.id + "/iris", Model: "iris", Training: "iris/softmax", Run: "softmax-" + hash[:8], Hash: hash,
		Image: "registry.example.com/train@sha256:" + strings.Repeat("2", 64),
	}, os.DirFS(out)); err != nil {
		w.t.Fatal(err)
	}
}

// accurate is leave with an accuracy.
func (w *trainingWorld) accurate(hash string, accuracy float64) {
	w.t.Helper()
	w.leave(hash, fmt.Sprintf(`{"accuracy": %g}`, accuracy))
}

// end has a run's objects go, as by their TTL: it succeeded if it left something.
func (w *trainingWorld) end(hash string) {
	w.t.Helper()
	err := w.kubectl().BatchV1().Jobs(w.namespace("staging")).Delete(w.t.Context(), "softmax-"+hash[:8], deleteNow)
	if err != nil && !apierrors.IsNotFound(err) {
		w.t.Fatal(err)
	}
}

// comes waits for a state of a run.
func (w *trainingWorld) comes(hash string, state gitops.RunState) {
	w.t.Helper()
	w.eventually(string(state)+" of "+hash[:8], func() bool { return w.run(hash).State == state })
}

// atOnce is the most runs that were under way in any commit of the ledger.
func (w *trainingWorld) atOnce() (most int) {
	w.t.Helper()
	states := map[string]gitops.RunState{}
	for _, commit := range strings.Fields(w.git("log", "--reverse", "--format=%H", gitops.RunsRef)) {
		body := w.git("show", "-s", "--format=%(trailers:key=Davit-Run,valueonly)%(trailers:key=Davit-State,valueonly)", commit)
		hash, state, _ := strings.Cut(body, "\n")
		states[hash] = gitops.RunState(strings.TrimSpace(state))
		n := 0
		for _, s := range states {
			if !s.Ended() {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

func (w *trainingWorld) proposals() []string {
	w.t.Helper()
	return strings.Fields(w.git("branch", "--list", "--format=%(refname:short)", "davit/train/*"))
}

// noVersion fails where one of the runs has a version.
func (w *trainingWorld) noVersion(hashes ...string) {
	w.t.Helper()
	for _, hash := range hashes {
		if run := w.run(hash); run.Version != "" {
			w.t.Errorf("trial %v made version %s", run.Trial, run.Version)
		}
	}
}

// bodies are the texts of the pull requests that a reconciler opens.
func (w *trainingWorld) bodies() (bodies chan string, propose func(*reconciler.Config)) {
	bodies = make(chan string, 100)
	forge := &pulls{base: "main"}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		data, _ := io.ReadAll(req.Body)
		var pull struct{ Body string }
		if req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/pulls") && json.Unmarshal(data, &pull) == nil {
			bodies <- pull.Body
		}
		req.Body = io.NopCloser(bytes.NewReader(data))
		forge.ServeHTTP(rw, req)
	}))
	w.t.Cleanup(server.Close)
	return bodies, func(c *reconciler.Config) {
		c.Committer, c.Name = &gitops.Author{Name: "davit", Email: "davit@example.com"}, "here"
		var err error
		if c.Forge, err = forges.New(forges.Config{Kind: forges.Gitea, Repository: server.URL + "/o/r.git", Branch: "main"}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// Of four trials, two at once, one fails; the best of the others is proposed, once, whatever is restarted. A larger matrix
// trains what is new, and proposes what is better.
func TestSweep(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	made := w.jobs()
	bodies, propose := w.bodies()
	w.spec("7", swept("{lr: [0.1, 0.01], depth: [3, 5]}", ", parallel: 2"))
	four := w.trials() // depth 3: lr 0.1, 0.01; depth 5: lr 0.1, 0.01
	w.accurate(four[0], 0.9)
	w.accurate(four[1], 0.95)
	w.leave(four[3], "")
	w.commit("sweep iris")
	stop := w.follow(propose)
	best := w.ended(four[1], gitops.RunSucceeded)
	if best.Version != "v4" || best.Trial["lr"] != "0.01" || best.Trial["depth"] != "3" {
		t.Fatalf("ledger says %+v", best)
	}
	w.comes(four[2], gitops.RunLost)
	w.noVersion(four[0], four[2], four[3])
	if n := w.atOnce(); n != 2 {
		t.Errorf("%d runs were under way at once", n)
	}
	body := <-bodies
	for _, line := range []string{
		"Of 4 trials this one has the most `accuracy`:", "| run | `depth` | `lr` | `accuracy` | state |",
		"| `" + best.Name + "` **this** | `3` | `0.01` | `0.95` | `Succeeded` |\n| `softmax-" + four[0][:8] + "` | `3` | `0.1` | `0.9` | `Succeeded` |\n| `softmax-" + four[3][:8] + "` | `5` | `0.01` | – |",
	} {
		if !strings.Contains(body, line) {
			t.Errorf("the pull request has no %q:\n%s", line, body)
		}
	}
	stop()

	w.spec("7", swept("{lr: [0.1, 0.01], depth: [3, 5, 7]}", ", parallel: 2"))
	six := w.trials()
	w.accurate(six[4], 0.94)
	w.commit("deeper")
	stop = w.follow(propose)
	w.comes(six[4], gitops.RunSucceeded)
	w.comes(six[5], gitops.RunLost)
	stop()

	w.spec("7", swept("{lr: [0.1, 0.01], depth: [3, 5, 7, 9]}", ", parallel: 2"))
	eight := w.trials()
	w.accurate(eight[6], 0.99)
	w.accurate(eight[7], 0.98)
	w.commit("deeper still")
	stop = w.follow(propose)
	if run := w.ended(eight[6], gitops.RunSucceeded); run.Version != "v5" {
		t.Errorf("the new best is %+v", run)
	}
	w.noVersion(six[4], eight[7], four[0], four[3])

	// A trial by itself was trained already, and is proposed by itself.
	w.spec("7", "  version: v{n}")
	w.edit(softmax, "{epochs: 7}", "{epochs: 7, lr: 0.1, depth: 3}")
	if hash := w.hash(); hash != four[0] {
		t.Fatalf("it is %s by itself, and %s as a trial", hash, four[0])
	}
	w.commit("only this")
	if run := w.ended(four[0], gitops.RunSucceeded); run.Version != "v6" {
		t.Errorf("by itself it is %+v", run)
	}
	stop()
	if n := w.atOnce(); n != 2 {
		t.Errorf("%d runs were under way at once", n)
	}
	if all := w.proposals(); len(all) != 3 || len(bodies) != 2 {
		t.Errorf("proposed are %q, by %d pull requests", all, 1+len(bodies))
	}
	if all := made(); len(all) != 8 {
		t.Errorf("eight trials made the Jobs %q", all)
	}
}

// A controller that is stopped at any moment of a sweep, however often, never has more under way than may be, and proposes
// the best once.
func TestSweepStoppedAnywhere(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	made := w.jobs()
	w.spec("8", swept("{lr: [1, 2, 3, 4, 5]}", ", parallel: 2, goal: min"))
	all := w.trials()
	for i, hash := range all {
		w.accurate(hash, []float64{0.5, 0.2, 0.2, 0.9, 0.8}[i])
	}
	w.commit("sweep iris")
	for pause := 100 * time.Millisecond; w.run(all[1]).Version == ""; pause += 100 * time.Millisecond {
		stop := w.train()
		time.Sleep(pause) // the moment is what this is about
		stop()
		for _, hash := range all { // its Job goes, as by its TTL
			if w.run(hash).State == gitops.RunStarted {
				w.end(hash)
			}
		}
		if pause > 10*time.Second {
			t.Fatal("no version yet")
		}
	}
	stop := w.train()
	w.serves("v1")
	stop()
	w.noVersion(all[0], all[2], all[3], all[4])
	if n := w.atOnce(); n != 2 {
		t.Errorf("%d runs were under way at once", n)
	}
	if p := w.proposals(); len(p) != 1 {
		t.Errorf("proposed are %q", p)
	}
	if jobs := made(); len(jobs) != 5 {
		t.Errorf("five trials made the Jobs %q", jobs)
	}
}

// Runs of a sweep that was replaced go on, and take room; those of it that began are judged among themselves.
func TestSweepReplaced(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	w.spec("9", swept("{lr: [1, 2, 3]}", ", parallel: 2"), waiting)
	before := w.trials()
	w.commit("sweep iris")
	stop := w.train()
	w.comes(before[0], gitops.RunStarted)
	w.comes(before[1], gitops.RunStarted)
	w.spec("9", swept("{lr: [4, 5]}", ", parallel: 2"), waiting)
	after := w.trials()
	w.commit("sweep others")
	w.accurate(before[0], 0.5)
	w.end(before[0])
	w.comes(after[0], gitops.RunStarted)
	w.noVersion(before[0])
	stop()
	stop = w.train()
	w.cancel(before[1])
	if run := w.ended(before[0], gitops.RunSucceeded); run.Version != "v4" {
		t.Errorf("the best that began before is %+v", run)
	}
	w.comes(after[1], gitops.RunStarted)
	w.end(after[0]) // it left nothing
	w.accurate(after[1], 0.1)
	w.end(after[1])
	if run := w.ended(after[1], gitops.RunSucceeded); run.Version != "v5" {
		t.Errorf("the best of those after is %+v", run)
	}
	stop()
	if run := w.run(before[2]); run.State != "" {
		t.Errorf("what nobody asks for any more began: %+v", run)
	}
	if n := w.atOnce(); n != 2 {
		t.Errorf("%d runs were under way at once", n)
	}
}

// cancel ends a run as davit train cancel does.
func (w *trainingWorld) cancel(hash string) {
	w.t.Helper()
	source, err := gitops.Open(w.t.Context(), gitops.Config{URL: w.dir})
	if err != nil {
		w.t.Fatal(err)
	}
	defer source.Close()
	run := w.run(hash)
	run.State, run.Reason, run.Ended = gitops.RunCanceled, "ByPerson", time.Now()
	if _, err := source.NewLedger(gitops.Author{Name: "Ada", Email: "ada@example.com"}).RecordRun(w.t.Context(), run, gitops.RunStarted); err != nil {
		w.t.Fatal(err)
	}
	w.end(hash)
}

// A sweep that is removed and says cancel ends all of it, and proposes nothing of what had succeeded.
func TestSweepCanceled(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	w.spec("10", swept("{lr: [1, 2, 3]}", ", parallel: 1"), waiting, "  onRemove: cancel")
	all := w.trials()
	w.commit("sweep iris")
	stop := w.train()
	w.accurate(all[0], 0.5)
	w.comes(all[0], gitops.RunStarted)
	w.end(all[0])
	w.comes(all[1], gitops.RunStarted)
	w.remove(softmax)
	w.commit("sweep it no more")
	w.comes(all[1], gitops.RunCanceled)
	stop()
	stop = w.train()
	w.spec("11", "  version: v{n}")
	hash := w.publish()
	w.commit("another training")
	w.ended(hash, gitops.RunSucceeded) // by then the others would have been proposed
	stop()
	w.noVersion(all...)
	if run := w.run(all[2]); run.State != "" {
		t.Errorf("what nobody asks for any more began: %+v", run)
	}
}

// Of a sweep without success nothing is proposed, and the log says so once.
func TestSweepFails(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	w.spec("12", swept("{lr: [1, 2]}", ""))
	all := w.trials()
	w.commit("sweep iris")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	told := func() int {
		text, err := os.ReadFile(log.Name())
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(text), "no trial succeeded")
	}
	stop := w.follow(func(c *reconciler.Config) {
		c.Committer, c.Log = &gitops.Author{Name: "davit", Email: "davit@example.com"}, slog.New(slog.NewTextHandler(log, nil))
	})
	w.eventually("told", func() bool { return told() == 1 })
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v2")
	w.commit("another commit")
	w.until(staging, "v2", "Healthy")
	stop()
	if n := told(); n != 1 {
		t.Errorf("it is told %d times", n)
	}
	w.noVersion(all...)
	if p := w.proposals(); len(p) != 0 {
		t.Errorf("proposed are %q", p)
	}
}

// Of a sweep whose commit is gone nothing is proposed until a commit asks for its trials again.
func TestSweepOfRewrittenHistory(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	text := swept("{lr: [1, 2]}", "")
	w.spec("13", text, waiting)
	all := w.trials()
	w.commit("sweep iris")
	stop := w.train()
	w.comes(all[0], gitops.RunStarted)
	w.comes(all[1], gitops.RunStarted)
	stop()
	w.git("reset", "-q", "--hard", "HEAD~1")
	w.git("reflog", "expire", "--expire=now", "--all")
	w.git("gc", "-q", "--prune=now")
	w.edit("releases/iris/staging.yaml", "kind: Release", "kind: Release # again")
	w.commit("without the sweep")
	for i, hash := range all {
		w.accurate(hash, 0.5+float64(i)/10)
		w.end(hash)
	}
	stop = w.follow(func(c *reconciler.Config) {
		c.Committer, c.AcceptRewrite = &gitops.Author{Name: "davit", Email: "davit@example.com"}, true
	})
	w.comes(all[0], gitops.RunSucceeded)
	w.comes(all[1], gitops.RunSucceeded)
	w.serves("v1")
	w.spec("13", text)
	w.commit("the sweep again")
	if run := w.ended(all[1], gitops.RunSucceeded); run.Version != run.Name { // the pattern is gone with the commit
		t.Errorf("ledger says %+v", run)
	}
	stop()
	w.noVersion(all[0])
	if p := w.proposals(); len(p) != 1 {
		t.Errorf("proposed are %q", p)
	}
}
