package reconciler_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
)

// told collects what a reconciler logs.
type told struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *told) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *told) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// readOnly has a reconciler that writes nothing to Git.
func (w *trainingWorld) readOnly(log *told) (stop func()) {
	w.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", dev.Kubeconfig)
	if err != nil {
		w.t.Fatal(err)
	}
	target, err := cluster.New(w.t.Context(), cluster.Config{REST: config, Owner: w.id}) // one can watch once
	if err != nil {
		w.t.Fatal(err)
	}
	return w.follow(func(c *reconciler.Config) {
		c.Cluster, c.Name, c.Log = target, "here", slog.New(slog.NewTextHandler(log, nil))
	})
}

// kept is what the namespace of staging keeps of a run.
func (w *trainingWorld) kept(hash string) (run gitops.Run, record *corev1.ConfigMap) {
	w.t.Helper()
	record, err := w.kubectl().CoreV1().ConfigMaps(w.namespace("staging")).Get(w.t.Context(), "davit-run-"+hash[:40], metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return run, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(record.Data["run.json"]), &run)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return run, record
}

func (w *trainingWorld) keptAs(hash string, state gitops.RunState) (run gitops.Run) {
	w.t.Helper()
	w.eventually("a run that is "+string(state), func() bool {
		run, _ = w.kept(hash)
		return run.State == state
	})
	return run
}

func (w *trainingWorld) deleteJob(name string) {
	w.t.Helper()
	background := metav1.DeletePropagationBackground
	err := w.kubectl().BatchV1().Jobs(w.namespace("staging")).Delete(w.t.Context(), name, metav1.DeleteOptions{PropagationPolicy: &background})
	if err != nil {
		w.t.Fatal(err)
	}
	w.eventually("no Job", func() bool {
		list, err := w.kubectl().BatchV1().Jobs(w.namespace("staging")).List(w.t.Context(), metav1.ListOptions{})
		return err == nil && len(list.Items) == 0
	})
}

// Where nobody writes to Git a run is kept in a ConfigMap: it happens once, whatever becomes of its Job and of the process,
// and its version, which a person commits, is found.
func TestTrainingReadOnlyRunsOnce(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	made, log := w.jobs(), &told{}
	stop := w.readOnly(log)
	w.spec("1000")
	hash := w.publish()
	w.commit("train iris")
	run := w.keptAs(hash, gitops.RunSucceeded)
	if run.Name != "softmax-"+hash[:8] || run.Metrics["accuracy"] != 0.97 || run.Started.IsZero() || run.Controller != "here" || !strings.Contains(run.Image, "@sha256:") {
		t.Fatalf("the ConfigMap says %+v", run)
	}
	_, record := w.kept(hash)
	if len(record.OwnerReferences) > 0 || record.Labels["davit.dev/run-ledger"] == "" || record.Annotations["davit.dev/owner"] != w.id {
		t.Fatalf("the ConfigMap is %+v", record.ObjectMeta)
	}
	w.eventually("told what to type", func() bool { return log.count("davit train version "+run.Name) == 1 })
	stop()
	if n := log.count("that is weaker"); n != 1 {
		t.Errorf("told %d times that it is weaker", n)
	}
	if refs := w.git("for-each-ref", "--format=%(refname)"); refs != "refs/heads/main" {
		t.Fatalf("it wrote to Git: %s", refs)
	}

	w.deleteJob(run.Name)
	w.git("revert", "--no-edit", "HEAD")
	stop = w.readOnly(log)
	w.git("revert", "--no-edit", "HEAD")
	version := strings.Replace(w.text("models/iris/versions/v1.yaml"), "spec:\n", "spec:\n  lineage: {trainedBy: "+run.Name+"}\n", 1)
	w.write("models/iris/versions/v9.yaml", version)
	w.commit("v9, by hand")
	w.eventually("a version", func() bool { run, _ = w.kept(hash); return run.Version == "v9" })
	w.until(staging, "v1", "Healthy")
	stop()
	if all := made(); len(all) != 1 {
		t.Fatalf("one spec made the Jobs %q", all)
	}

	// What Git refused once it may take later: what was trained meanwhile is not trained again.
	stop = w.train()
	w.spec("1001")
	w.publish()
	w.commit("train iris longer")
	w.ended(w.hash(), gitops.RunSucceeded)
	stop()
	if all := made(); len(all) != 2 {
		t.Fatalf("two specs made the Jobs %q", all)
	}
	if run := w.run(hash); run.State != "" {
		t.Fatalf("the ledger in Git says %+v", run)
	}
}

// A run that Git's ledger has is not claimed again in a ConfigMap, and a ledger that can't be read starts nothing.
func TestTrainingReadOnlyKnowsGit(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	made, log := w.jobs(), &told{}
	w.spec("8")
	w.commit("train iris")
	w.elsewhere()
	stop := w.readOnly(log)
	w.until(staging, "v1", "Healthy")
	w.spec("9")
	hash := w.hash()
	w.git("update-ref", gitops.RunsRef, w.git("hash-object", "-w", "davit.yaml"))
	w.commit("train iris longer")
	w.eventually("told that the ledger is unreadable", func() bool { return log.count("reading the runs of "+gitops.RunsRef) > 0 })
	stop()
	if _, record := w.kept(hash); record != nil || len(made()) != 0 {
		t.Fatalf("it keeps %+v and made the Jobs %q", record, made())
	}
}

// Of two controllers of one cluster one claims a run, and both look after it; and what one has recorded stays.
func TestTrainingReadOnlyAtOnce(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	made, log := w.jobs(), &told{}
	w.spec("7", "  resources: {cpu: 100000}") // no node has as much: it waits
	hash := w.hash()
	w.commit("train iris")
	stops := []func(){w.readOnly(log), w.readOnly(log), w.readOnly(log)}
	run := w.keptAs(hash, gitops.RunStarted)
	if n := log.count("a run is claimed"); n != 1 {
		t.Fatalf("claimed %d times", n)
	}

	// A person ends it; nobody takes it further.
	client := w.kubectl().CoreV1().ConfigMaps(w.namespace("staging"))
	w.eventually("canceled", func() bool {
		now, record := w.kept(hash)
		now.State, now.Reason, now.Ended = gitops.RunCanceled, "ByPerson", time.Now().UTC().Truncate(time.Second)
		data, err := now.Encode()
		if err != nil {
			t.Fatal(err)
		}
		record.Data["run.json"] = string(data)
		_, err = client.Update(t.Context(), record, metav1.UpdateOptions{})
		return err == nil
	})
	for _, stop := range stops {
		stop()
	}
	w.publish()
	w.readOnly(log) // a new process makes sure that its objects are gone
	w.eventually("no Job", func() bool {
		list, err := w.kubectl().BatchV1().Jobs(w.namespace("staging")).List(t.Context(), metav1.ListOptions{})
		return err == nil && len(list.Items) == 0
	})
	if now, _ := w.kept(hash); now.State != gitops.RunCanceled || now.Name != run.Name {
		t.Fatalf("the ConfigMap says %+v", now)
	}
	if all := made(); len(all) != 1 {
		t.Fatalf("it made the Jobs %q", all)
	}
}

// A controller that Git refuses goes on with ConfigMaps, and says so; a record of it that is broken starts nothing.
func TestTrainingRefusedByGit(t *testing.T) {
	t.Parallel()
	w := newTrainingWorld(t)
	url, deny := w.overHTTP()
	made, log := w.jobs(), &told{}
	w.spec("1000")
	hash := w.publish()
	w.commit("train iris")
	deny(true)
	mirror := t.TempDir()
	follow := func() (stop func()) {
		source, err := gitops.Open(t.Context(), gitops.Config{URL: url, Mirror: mirror, Interval: 100 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { source.Close() })
		return w.follow(func(c *reconciler.Config) {
			c.Source, c.Committer, c.Log = source, &gitops.Author{Name: "davit", Email: "davit@example.com"}, slog.New(slog.NewTextHandler(log, nil))
		})
	}
	stop := follow()
	run := w.keptAs(hash, gitops.RunSucceeded)
	w.eventually("told what to type", func() bool { return log.count("davit train version "+run.Name) == 1 })
	if n := log.count("that is weaker"); n != 1 {
		t.Errorf("told %d times that it is weaker", n)
	}
	stop()
	if refs := w.git("for-each-ref", "--format=%(refname)"); refs != "refs/heads/main" {
		t.Fatalf("it wrote to Git: %s", refs)
	}
	w.deleteJob(run.Name)

	// It takes them again: the version is proposed by the next process, and nothing trains again.
	deny(false)
	stop = follow()
	w.eventually("a version", func() bool { run, _ = w.kept(hash); return run.Version != "" })
	if text := w.git("show", "davit/train/iris/"+run.Version+":models/iris/versions/"+run.Version+".yaml"); !strings.Contains(text, "trainedBy: "+run.Name) {
		t.Fatalf("the version is\n%s", text)
	}
	stop()
	client := w.kubectl().CoreV1().ConfigMaps(w.namespace("staging"))
	_, record := w.kept(hash)
	record.Data["run.json"] = "{"
	if _, err := client.Update(t.Context(), record, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	stop = follow()
	w.eventually("told of the broken record", func() bool {
		return log.count("ConfigMap "+record.Namespace+"/"+record.Name+": decoding the run: ") > 0
	})
	w.spec("1001")
	w.publish()
	w.commit("train iris longer")
	w.ended(w.hash(), gitops.RunSucceeded) // of others it keeps nothing
	stop()
	if all := made(); len(all) != 2 {
		t.Fatalf("two specs made the Jobs %q", all)
	}
}

// overHTTP serves the repository by the real git; deny has it refuse pushes for good, as a host does that gives read access.
func (w *trainingWorld) overHTTP() (url string, deny func(bool)) {
	w.t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		w.t.Fatal(err)
	}
	w.git("config", "http.receivepack", "true")
	srv := httptest.NewServer(&cgi.Handler{
		Path: git, Args: []string{"http-backend"}, Env: []string{"GIT_PROJECT_ROOT=" + w.dir, "GIT_HTTP_EXPORT_ALL=1"},
		Stderr: io.Discard,
	})
	w.t.Cleanup(srv.Close)
	return srv.URL + "/.git", func(denied bool) { w.git("config", "http.receivepack", strconv.FormatBool(!denied)) }
}
