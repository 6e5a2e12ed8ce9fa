package reconciler_test

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

const (
	softmaxLock   = "models/iris/training/softmax.lock.yaml"
	softmaxBranch = "davit/lock/iris/softmax"
)

// scheduleWorld is a world whose training has a dataset that moves, and a schedule of each hour, half an hour from now. Nobody
// has main checked out.
type scheduleWorld struct {
	*trainingWorld
	clock
	data *dataset
}

// dataset is one on a server.
type dataset struct {
	url string

	mu    sync.Mutex
	text  string // "" is not there
	asked int
}

func (d *dataset) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	if d.text == "" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	fmt.Fprint(w, d.text)
}

func (d *dataset) become(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.text = text
}

func (d *dataset) requests() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

func newScheduleWorld(t *testing.T, more ...string) *scheduleWorld {
	w := &scheduleWorld{trainingWorld: newTrainingWorld(t), data: &dataset{text: "one"}}
	server := httptest.NewServer(w.data)
	t.Cleanup(server.Close)
	w.data.url = server.URL + "/iris.csv"
	w.scheduled(more...)
	w.commit("train iris each hour")
	w.git("checkout", "-q", "--detach")
	return w
}

// scheduled writes the training's file.
func (w *scheduleWorld) scheduled(more ...string) {
	minute := time.Now().UTC().Add(30 * time.Minute).Minute()
	w.spec("7", append([]string{
		fmt.Sprintf(`  schedule: {cron: "%d * * * *"}`, minute), fmt.Sprintf("  datasets: [{name: flowers, uri: %q}]", w.data.url),
	}, more...)...)
}

// hours have passed since the beginning.
func (w *scheduleWorld) hours(n int) { w.ahead.Store(int64(n) * int64(time.Hour)) }

// ticking has a reconciler that may write to Git, at the world's time.
func (w *scheduleWorld) ticking(edits ...func(*reconciler.Config)) (stop func()) {
	w.t.Helper()
	source, err := gitops.Open(w.t.Context(), gitops.Config{URL: w.dir, Branch: "main"}) // HEAD names none
	if err != nil {
		w.t.Fatal(err)
	}
	return w.follow(append([]func(*reconciler.Config){w.in, func(c *reconciler.Config) {
		c.Source, c.Committer = source, &gitops.Author{Name: "davit", Email: "davit@example.com"}
	}}, edits...)...)
}

// push commits to main what the function changes there.
func (w *scheduleWorld) push(message string, change func()) {
	w.git("checkout", "-q", "--detach", "main")
	change()
	w.commit(message)
	w.git("update-ref", "refs/heads/main", "HEAD")
}

// locks are the commits on main that lock, the newest first.
func (w *scheduleWorld) locks() []string {
	return strings.Fields(w.git("log", "--format=%H", "--author=davit@example.com", "main"))
}

// locked waits for main's lock to be of a content, and takes the worktree there.
func (w *scheduleWorld) locked(text string) {
	w.t.Helper()
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
	w.eventually("locked to "+text, func() bool {
		show := exec.Command("git", "show", "main:"+softmaxLock)
		show.Dir = w.dir
		out, err := show.Output()
		return err == nil && strings.Contains(string(out), "sha256: "+sum)
	})
	w.git("checkout", "-q", "--detach", "main")
}

func (w *scheduleWorld) runs() int {
	w.t.Helper()
	runs, err := w.ledger.Runs(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return len(runs)
}

// A scheduled training runs on what its data is at the schedule's times: once for each, not where the data is the same,
// not again after a restart, and once for all the times that nobody was there for.
func TestScheduleTrains(t *testing.T) {
	t.Parallel()
	w := newScheduleWorld(t)
	made := w.jobs()
	stop := w.ticking()
	w.until(staging, "v1", "Healthy")
	if n := w.data.requests(); n != 0 || w.runs() != 0 {
		t.Fatalf("before the first time: %d requests, %d runs", n, w.runs())
	}
	w.hours(1)
	w.locked("one")
	first := w.ended(w.hash(), gitops.RunLost)
	commit := w.git("show", "-s", "--format=%an%n%(trailers)", "main")
	if !strings.HasPrefix(commit, "davit\n") || !strings.Contains(commit, "Davit-Training: iris/softmax\nDavit-Tick: 20") || first.Commit != w.git("rev-parse", "main") {
		t.Errorf("locked by\n%s, and run %+v", commit, first)
	}
	job, err := w.kubectl().BatchV1().Jobs(w.namespace("staging")).Get(t.Context(), first.Name, get)
	if err != nil || !strings.Contains(fmt.Sprint(job.Spec.Template.Spec.Containers[0].Env), fmt.Sprintf("%x", sha256.Sum256([]byte("one")))) {
		t.Errorf("the trainer is not told what the data was: %v %v", err, job)
	}

	w.hours(2)
	w.eventually("looked at again", func() bool { return w.data.requests() == 2 })
	stop()
	if n := len(w.locks()); n != 1 || w.runs() != 1 {
		t.Fatalf("unchanged data: %d locks, %d runs", n, w.runs())
	}
	stop = w.ticking()
	w.eventually("looked at after a restart", func() bool { return w.data.requests() == 3 })
	stop()
	if n := len(w.locks()); n != 1 {
		t.Fatalf("a restart: %d locks", n)
	}

	w.hours(7)
	w.data.become("two")
	stop = w.ticking()
	w.locked("two")
	w.ended(w.hash(), gitops.RunLost)
	stop()
	if n, all := len(w.locks()), made(); n != 2 || w.runs() != 2 || len(all) != 2 || w.data.requests() != 4 {
		t.Fatalf("missed times: %d locks, %d runs, Jobs %q, %d requests", n, w.runs(), all, w.data.requests())
	}
}

// Where unchanged data is trained on, too, each time is a run; and another attempt of a locked training is one at once.
func TestScheduleTrainsUnchanged(t *testing.T) {
	t.Parallel()
	w := newScheduleWorld(t)
	w.push("always", func() { w.edit(softmax, `* * * *"`, `* * * *", unchanged: train`) })
	stop := w.ticking()
	for n := 1; n <= 2; n++ {
		w.hours(n)
		w.eventually("locked", func() bool { return len(w.locks()) == n })
		w.git("checkout", "-q", "--detach", "main")
		w.ended(w.hash(), gitops.RunLost)
	}
	w.push("again", func() { w.edit(softmax, "  schedule:", "  attempt: 1\n  schedule:") })
	w.ended(w.hash(), gitops.RunLost)
	stop()
	if n := len(w.locks()); n != 2 || w.runs() != 3 {
		t.Fatalf("%d locks, %d runs", n, w.runs())
	}
}

// A lock that the training does not fit any more starts nothing before the schedule's next time, and neither does one that
// somebody removed.
func TestScheduleWaits(t *testing.T) {
	t.Parallel()
	w := newScheduleWorld(t)
	w.push("a stale lock", func() {
		w.write(softmaxLock, "apiVersion: davit.dev/v1alpha1\nkind: TrainingLock\nspec:\n  tick: 2026-01-01T00:00:00Z\n  datasets: [{name: flowers, from: 's3://a', uri: 's3://a'}]\n")
	})
	stop := w.ticking()
	w.until(staging, "v1", "Healthy")
	if w.runs() != 0 || w.data.requests() != 0 {
		t.Fatalf("a stale lock: %d runs, %d requests", w.runs(), w.data.requests())
	}
	w.hours(1)
	w.locked("one")
	w.ended(w.hash(), gitops.RunLost)
	stop()
	w.push("no lock", func() { w.remove(softmaxLock) })
	w.ahead.Store(0)
	requests := w.data.requests()
	stop = w.ticking()
	w.push("promote", func() { w.edit("releases/iris/staging.yaml", "version: v1", "version: v2") })
	w.until(staging, "v2", "Healthy")
	stop()
	if w.runs() != 1 || w.data.requests() != requests {
		t.Fatalf("no lock: %d runs, %d requests", w.runs(), w.data.requests())
	}
}

// Where nobody may push to the branch the lock is proposed: on one branch that goes with the data, and goes away with what it
// was about. Merging it starts the run.
func TestScheduleProtected(t *testing.T) {
	t.Parallel()
	w := newScheduleWorld(t)
	w.write(".git/hooks/update", "#!/bin/sh\n[ $1 != refs/heads/main ] || { echo the branch is protected >&2; exit 1; }\n")
	if err := os.Chmod(filepath.Join(w.dir, ".git/hooks/update"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.git("config", "http.receivepack", "true")
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(&cgi.Handler{
		Path: git, Args: []string{"http-backend"}, Env: []string{"GIT_PROJECT_ROOT=" + w.dir, "GIT_HTTP_EXPORT_ALL=1"},
	})
	t.Cleanup(server.Close)
	served := func(c *reconciler.Config) {
		c.Source, err = gitops.Open(t.Context(), gitops.Config{URL: server.URL + "/.git", Branch: "main", Mirror: t.TempDir(), Interval: 100 * time.Millisecond})
		if err != nil {
			t.Error(err)
		}
	}
	stop := w.ticking(served)
	w.hours(1)
	w.eventually("proposed", func() bool { return w.has(softmaxBranch) })
	stop()
	proposed := w.git("rev-parse", softmaxBranch)
	w.hours(2)
	stop = w.ticking(served)
	w.eventually("looked at after a restart", func() bool { return w.data.requests() == 2 })
	stop()
	if now := w.git("rev-parse", softmaxBranch); now != proposed {
		t.Fatalf("the same data is proposed again, as %s", now)
	}

	w.data.become("two")
	w.hours(3)
	w.ticking(served)
	w.eventually("proposed anew", func() bool { return w.git("rev-parse", softmaxBranch) != proposed })
	if files := w.git("diff", "--name-only", "main", softmaxBranch); files != softmaxLock || w.git("rev-list", "--count", "main.."+softmaxBranch) != "1" || w.runs() != 0 {
		t.Fatalf("the proposal changes %s; %d runs", files, w.runs())
	}
	w.push("merge", func() { w.git("merge", "-q", "--no-ff", "--no-commit", softmaxBranch) })
	w.locked("two")
	w.ended(w.hash(), gitops.RunLost)

	w.data.become("three")
	w.hours(4)
	w.eventually("proposed once more", func() bool { return w.git("diff", "--name-only", "main", softmaxBranch) == softmaxLock })
	w.data.become("two")
	w.hours(5)
	w.eventually("withdrawn", func() bool { return !w.has(softmaxBranch) })
	if w.runs() != 1 {
		t.Fatalf("%d runs", w.runs())
	}
}

// Data that is not there is told of once, looked for again, and starts nothing on the old lock.
func TestScheduleWithoutData(t *testing.T) {
	t.Parallel()
	w := newScheduleWorld(t)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	w.ticking(func(c *reconciler.Config) { c.Log = slog.New(slog.NewTextHandler(log, nil)) })
	w.hours(1)
	w.locked("one")
	w.ended(w.hash(), gitops.RunLost)
	before := w.data.requests()
	w.data.become("")
	w.hours(2)
	w.eventually("looked for three times", func() bool { return w.data.requests() >= before+3 })
	if w.runs() != 1 {
		t.Errorf("%d runs", w.runs())
	}
	w.data.become("two")
	w.locked("two")
	w.ended(w.hash(), gitops.RunLost)
	text, err := os.ReadFile(log.Name())
	if n := strings.Count(string(text), `finding out what dataset \"flowers\" is now`); err != nil || n != 1 {
		t.Errorf("told %d times: %v\n%s", n, err, text)
	}
}

// A newer lock takes no spec away: a run under way goes on, also where a removed one ends.
func TestScheduleRemovesNothing(t *testing.T) {
	t.Parallel()
	w := newScheduleWorld(t, "  onRemove: cancel", "  resources: {cpu: 100000}") // no node has as much: it waits
	w.ticking()
	w.hours(1)
	w.locked("one")
	first := w.hash()
	w.eventually("started", func() bool { return w.run(first).State == gitops.RunStarted })
	w.data.become("two")
	w.hours(2)
	w.locked("two")
	second := w.hash()
	w.eventually("the second started", func() bool { return w.run(second).State == gitops.RunStarted })
	w.push("promote", func() { w.edit("releases/iris/staging.yaml", "version: v1", "version: v2") })
	w.until(staging, "v2", "Healthy")
	if run := w.run(first); run.State != gitops.RunStarted {
		t.Fatalf("a lock ended the run before: %+v", run)
	}
	w.push("train it no more", func() { w.remove(softmax); w.remove(softmaxLock) })
	for _, hash := range []string{first, second} {
		if run := w.ended(hash, gitops.RunCanceled); run.Reason != "SpecRemoved" {
			t.Errorf("ledger says %+v", run)
		}
	}
	w.eventually("gone", func() bool {
		list, err := w.kubectl().BatchV1().Jobs(w.namespace("staging")).List(t.Context(), metav1.ListOptions{})
		return err == nil && len(list.Items) == 0
	})
}

// An environment that follows signed commits alone is not left behind by a lock: where davit's key is none of the signers' it
// is proposed.
func TestScheduleSigned(t *testing.T) {
	t.Parallel()
	w := newScheduleWorld(t)
	ada, davit := newSigner(t, "ada@example.com"), newSigner(t, "davit@example.com")
	pem, err := os.ReadFile(davit.file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := gitops.ParseKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	follow := func(keys ...signer) (stop func()) {
		text := ""
		for _, k := range keys {
			text += strings.Fields(k.public)[2] + " " + k.public + "\n"
		}
		signers, err := gitops.ParseSigners(text)
		if err != nil {
			t.Fatal(err)
		}
		return w.ticking(func(c *reconciler.Config) {
			c.Committer.Key = key
			c.Grants = map[string]reconciler.Grant{"staging": {Cluster: c.Cluster, Signers: signers, Sources: []v1alpha1.SourceGrant{{Prefix: w.data.url}}}, "production": {Cluster: c.Cluster}}
			c.Cluster = nil
		})
	}
	w.sign(ada, "looked at")
	w.git("update-ref", "refs/heads/main", "HEAD")
	stop := follow(ada)
	w.hours(1)
	w.eventually("proposed", func() bool { return w.has(softmaxBranch) })
	stop()
	if n := len(w.locks()); n != 0 {
		t.Fatalf("%d locks that staging does not follow", n)
	}
	follow(ada, davit)
	w.locked("one")
	w.ended(w.hash(), gitops.RunLost)
	w.eventually("withdrawn", func() bool { return !w.has(softmaxBranch) })
}

// A controller that is stopped at any moment locks each time once, and trains once on it.
func TestScheduleStoppedAnywhere(t *testing.T) {
	t.Parallel()
	w := newScheduleWorld(t)
	made := w.jobs()
	w.hours(1)
	for pause := 10 * time.Millisecond; ; pause += 30 * time.Millisecond {
		stop := w.ticking()
		time.Sleep(pause) // the moment is what this is about
		stop()
		if len(w.locks()) > 0 {
			w.git("checkout", "-q", "--detach", "main")
			if run := w.run(w.hash()); run.State.Ended() {
				break
			}
		}
		if pause > 10*time.Second {
			t.Fatalf("not trained yet: %d locks", len(w.locks()))
		}
	}
	if n, all := len(w.locks()), made(); n != 1 || w.runs() != 1 || len(all) != 1 {
		t.Fatalf("%d locks, %d runs, Jobs %q", n, w.runs(), all)
	}
}

// Who writes nothing to Git can keep no lock there, and says so.
func TestScheduleReadOnly(t *testing.T) {
	t.Parallel()
	w := newScheduleWorld(t)
	before := w.git("rev-parse", "main")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	w.hours(1)
	w.ticking(func(c *reconciler.Config) {
		c.Committer, c.Notes, c.Log = nil, nil, slog.New(slog.NewTextHandler(log, nil))
	})
	w.eventually("said", func() bool {
		text, err := os.ReadFile(log.Name())
		return err == nil && strings.Contains(string(text), "a training's datasets are not locked") && strings.Contains(string(text), "writes nothing there")
	})
	if n := w.runs(); n > 0 || w.git("rev-parse", "main") != before {
		t.Errorf("%d runs, and main is at %s", n, w.git("log", "-1", "main"))
	}
}
