package reconciler_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry/image"
)

// controller controls a namespace, without an election, until it is stopped.
func (w *world) controller(namespace string, change ...func(*reconciler.ControllerConfig)) (stop func()) {
	w.t.Helper()
	own, err := cluster.New(w.t.Context(), cluster.Config{REST: restConfig(w.t), Owner: "davit", Namespaces: []string{namespace}})
	if err != nil {
		w.t.Fatal(err)
	}
	images, err := image.New(image.Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error)
	mirrors := w.t.TempDir()
	cfg := reconciler.ControllerConfig{
		Cluster: own, Namespace: namespace, Mirrors: mirrors, Images: images, Log: slog.New(slog.DiscardHandler),
		Report: func(p reconciler.Report) { w.reports <- p },
	}
	for _, f := range change {
		f(&cfg)
	}
	go func() { done <- reconciler.Control(ctx, cfg) }()
	return func() {
		cancel()
		<-done
	}
}

// patch merges into an object's spec.
func (w *world) patch(in dynamic.ResourceInterface, name string, spec map[string]any) {
	w.t.Helper()
	data, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := in.Patch(w.t.Context(), name, types.MergePatchType, data, metav1.PatchOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// modelRegistry is the ModelRegistry as it is.
func (w *world) modelRegistry(in dynamic.ResourceInterface) (mr v1alpha1.ModelRegistry) {
	w.t.Helper()
	live, err := in.Get(w.t.Context(), "models", get)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, &mr); err != nil {
		w.t.Fatal(err)
	}
	return mr
}

// goes waits until a ModelRegistry answers its spec with a reason and a message, and asks kstatus.
func (w *world) goes(in dynamic.ResourceInterface, reason, message string, want status.Status) {
	w.t.Helper()
	var last v1alpha1.ModelRegistry
	defer func() {
		if w.t.Failed() {
			w.t.Logf("%+v", last.Status.Conditions)
		}
	}()
	w.eventually(reason+" "+message, func() bool {
		last = w.modelRegistry(in)
		c := meta.FindStatusCondition(last.Status.Conditions, v1alpha1.ConditionReady)
		return last.Status.ObservedGeneration == last.Generation && c != nil && c.Reason == reason && strings.Contains(c.Message, message)
	})
	if got, live := w.kstatus(in, "models"); got != want {
		w.t.Errorf("%s is %s to kstatus, want %s: %v", reason, got, want, live.Object["status"])
	}
}

// TestKstatusOfRegistries: what kubectl wait, Argo CD and Flux make of a ModelRegistry, however following goes.
func TestKstatusOfRegistries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	namespace := w.id + "-davit"
	registries := w.grantRegistry(namespace)
	if got, live := w.kstatus(registries, "models"); got != status.InProgressStatus {
		t.Errorf("a new one is %s to kstatus: %v", got, live.Object["status"])
	}
	defer w.controller(namespace)()
	w.goes(registries, "Followed", "", status.CurrentStatus)
	if author := w.modelRegistry(registries).Status.Author; author != "Ada <ada@example.com>" {
		t.Errorf("author %q", author)
	}
	w.until(production, "v1", v1alpha1.Healthy)

	w.patch(registries, "models", map[string]any{"suspend": true})
	w.goes(registries, "Suspended", "spec.suspend", status.CurrentStatus)
	w.promote("v1", "v2")
	w.goes(registries, "Suspended", "spec.suspend", status.CurrentStatus)
	if got := w.release("production"); got.Spec.Claim.Version != "v1" {
		t.Errorf("a suspended registry was followed: %+v", got.Spec.Claim)
	}
	w.patch(registries, "models", map[string]any{"suspend": nil})
	w.until(production, "v2", v1alpha1.Healthy)
	w.goes(registries, "Followed", "", status.CurrentStatus)

	w.git("reset", "-q", "--hard", "HEAD~1")
	w.goes(registries, "HistoryRewritten", "acceptRewrite", status.FailedStatus)
	w.patch(registries, "models", map[string]any{"acceptRewrite": w.git("rev-parse", "HEAD")})
	w.goes(registries, "Followed", "", status.CurrentStatus)

	var answer atomic.Int32
	server := httptest.NewServer(w.served(&answer))
	defer server.Close()
	w.patch(registries, "models", map[string]any{"url": server.URL + "/.git", "branch": "main", "interval": "100ms"})
	w.goes(registries, "Followed", "", status.CurrentStatus)
	for code, reason := range map[int32]string{http.StatusUnauthorized: "AuthenticationFailed", http.StatusNotFound: "RepositoryNotFound"} {
		answer.Store(code)
		w.goes(registries, reason, "", status.FailedStatus)
		answer.Store(0)
		w.goes(registries, "Followed", "", status.CurrentStatus)
	}
	for _, reason := range []string{"Followed", "Suspended", "HistoryRewritten", "AuthenticationFailed", "RepositoryNotFound"} {
		if !w.registryEvent(namespace, reason) {
			t.Errorf("no Event %s", reason)
		}
	}
}

// served is the world's repository over http, or an error where answer says so.
func (w *world) served(answer *atomic.Int32) http.Handler {
	git, err := exec.LookPath("git")
	if err != nil {
		w.t.Fatal(err)
	}
	backend := &cgi.Handler{Path: git, Args: []string{"http-backend"}, Env: []string{"GIT_PROJECT_ROOT=" + w.dir, "GIT_HTTP_EXPORT_ALL=1"}}
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if code := answer.Load(); code != 0 {
			http.Error(rw, "no", int(code))
			return
		}
		backend.ServeHTTP(rw, req)
	})
}

func (w *world) registryEvent(namespace, reason string) bool {
	w.t.Helper()
	list, err := w.kubectl().EventsV1().Events(namespace).List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range list.Items {
		if e.Reason == reason && e.Regarding.Kind == v1alpha1.RegistryKind && e.Regarding.Name == "models" {
			return true
		}
	}
	return false
}

// TestSpecChanges: every field of a ModelRegistry counts as soon as it is changed, and what is wrong with it is told.
func TestSpecChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	namespace := w.id + "-davit"
	registries := w.grantRegistry(namespace)
	w.git("branch", "other")
	defer w.controller(namespace)()
	w.goes(registries, "Followed", "", status.CurrentStatus)
	environments := w.modelRegistry(registries).Spec.Environments
	granted := func(key string, value any) []any {
		data, err := json.Marshal(environments)
		if err != nil {
			t.Fatal(err)
		}
		var list []any
		if err := json.Unmarshal(data, &list); err != nil {
			t.Fatal(err)
		}
		list[0].(map[string]any)[key] = value
		return list
	}
	for _, test := range []struct {
		field           string
		value           any
		reason, message string
		want            status.Status
	}{
		{"interval", "1s", "Followed", "", status.CurrentStatus},
		{"branch", "other", "Followed", "", status.CurrentStatus},
		{"branch", "none", "BranchNotFound", "it has no branch none", status.FailedStatus},
		{"tag", "v9", "TagNotFound", "it has no tag v9", status.FailedStatus},
		{"semver", ">=9.0.0", "TagNotFound", "the range is", status.FailedStatus},
		{"path", "ml/registry", "FolderNotFound", "has no folder ml/registry", status.FailedStatus},
		{"url", t.TempDir(), "NotFollowed", "", status.InProgressStatus},
		{"credentials", "absent", "NotFollowed", "", status.InProgressStatus},
		{"outcomes", "Cluster", "Followed", "", status.CurrentStatus},
		{"committer", map[string]any{"signingKey": map[string]any{"secret": "absent", "key": "id"}}, "NotFollowed", "Secret " + namespace + "/absent", status.InProgressStatus},
		{"forge", map[string]any{"kind": "Gitea", "secret": "absent"}, "NotFollowed", "Secret " + namespace + "/absent", status.InProgressStatus},
		{"notifications", []any{map[string]any{"name": "ops", "kind": "Slack"}}, "NotFollowed", "secret with the key url", status.InProgressStatus},
		{"notifications", []any{map[string]any{"name": "ops", "kind": "Forge"}}, "NotFollowed", "needs spec.forge", status.InProgressStatus},
		{"acceptRewrite", w.git("rev-parse", "HEAD"), "Followed", "", status.CurrentStatus},
		{"deletionPolicy", "Delete", "Followed", "", status.CurrentStatus},
		{"takeOver", []any{"davit/old"}, "Followed", "", status.CurrentStatus},
		{"environments", granted("cluster", map[string]any{"secret": "absent", "key": "kubeconfig"}), "NotFollowed", "Secret " + namespace + "/absent", status.InProgressStatus},
		{"environments", granted("signers", []any{"nonsense"}), "NotFollowed", "environment \"production\"", status.InProgressStatus},
		{"environments", granted("images", map[string]any{"keys": []any{"nonsense"}}), "NotFollowed", "images.keys", status.InProgressStatus},
		{"environments", granted("minBake", "1s"), "Followed", "", status.CurrentStatus},
	} {
		var before any
		switch test.field {
		case "url":
			before = w.dir
		case "environments":
			before = environments
		}
		w.patch(registries, "models", map[string]any{test.field: test.value})
		w.goes(registries, test.reason, test.message, test.want)
		w.patch(registries, "models", map[string]any{test.field: before})
		w.goes(registries, "Followed", "", status.CurrentStatus)
	}
}

// TestFollowedGoes: when the tag that is followed, or the folder, is deleted, the status says so at once, all goes on as it
// is, also in the next process, and what comes back is followed.
func TestFollowedGoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.git("tag", "v1.0.0")
	namespace := w.id + "-davit"
	registries := w.grantRegistry(namespace)
	w.patch(registries, "models", map[string]any{"semver": "1.x"})
	stop := w.controller(namespace)
	defer func() { stop() }()
	w.until(production, "v1", v1alpha1.Healthy)
	before := w.deployment("iris")
	stays := func() {
		t.Helper()
		if now := w.deployment("iris"); now.UID != before.UID || now.Generation != before.Generation {
			t.Error("the Deployment is not as it was")
		}
		if c := w.release("production"); c.Status.Phase != v1alpha1.Healthy {
			t.Errorf("production is %s", c.Status.Phase)
		}
	}
	var answer atomic.Int32
	server := httptest.NewServer(w.served(&answer))
	defer server.Close()
	for _, url := range []string{w.dir, server.URL + "/.git"} {
		w.patch(registries, "models", map[string]any{"url": url, "interval": "100ms"})
		w.goes(registries, "Followed", "", status.CurrentStatus)
		w.git("tag", "-d", "v1.0.0")
		w.goes(registries, "TagNotFound", "it has no tag", status.FailedStatus)
		stays()
		w.git("tag", "v1.0.0")
		w.goes(registries, "Followed", "", status.CurrentStatus)
	}
	w.git("tag", "-d", "v1.0.0")
	w.git("commit", "-q", "--allow-empty", "-m", "more")
	w.git("tag", "v1.0.0") // moved on
	w.eventually("moved on", func() bool {
		return strings.HasSuffix(w.modelRegistry(registries).Status.Revision, w.git("rev-parse", "HEAD")[:12])
	})
	w.git("tag", "-f", "v1.0.0", "HEAD~1")
	w.goes(registries, "HistoryRewritten", "acceptRewrite", status.FailedStatus)
	stays()
	w.git("tag", "-f", "v1.0.0", "HEAD")
	w.goes(registries, "Followed", "", status.CurrentStatus)

	w.git("checkout", "-q", "-b", "folder")
	w.git("read-tree", "--prefix=ml/registry", "HEAD")
	w.git("commit", "-q", "-m", "the registry in a folder")
	w.git("reset", "-q", "--hard")
	w.patch(registries, "models", map[string]any{"semver": nil, "branch": "folder", "path": "ml/registry"})
	w.goes(registries, "Followed", "", status.CurrentStatus)
	w.git("rm", "-q", "-r", "ml/registry")
	w.commit("away with it")
	w.goes(registries, "FolderNotFound", "has no folder ml/registry", status.FailedStatus)
	stays()
	stop()
	stop = w.controller(namespace)
	w.git("commit", "-q", "--allow-empty", "-m", "another one")
	head := w.git("rev-parse", "HEAD")[:12]
	w.goes(registries, "FolderNotFound", head, status.FailedStatus)
	stays()
	w.git("revert", "--no-edit", "HEAD~1")
	w.goes(registries, "Followed", "", status.CurrentStatus)
	stays()
}

// TestDeletedRegistry: a ModelRegistry that is deleted leaves everything, and another one takes it over; by the policy
// Delete its releases and their objects go, and the namespace stays. One that goes with its namespace deletes nothing.
func TestDeletedRegistry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("second")
	w.commit("two releases")
	namespace := w.id + "-davit"
	registries := w.grantRegistry(namespace)
	defer w.controller(namespace)()
	w.all("iris", "second")
	before := w.deployment("iris")
	live, err := registries.Get(t.Context(), "models", get)
	if err != nil {
		t.Fatal(err)
	}
	remove := func(name string) {
		t.Helper()
		if err := registries.Delete(t.Context(), name, deleteNow); err != nil {
			t.Fatal(err)
		}
	}
	remove("models")
	other := live.DeepCopy()
	other.Object["metadata"] = map[string]any{"name": "others"}
	delete(other.Object, "status")
	if _, err := registries.Create(t.Context(), other, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("known who has it", func() bool {
		c, err := registries.Get(t.Context(), "others", get)
		return err == nil && strings.Contains(toText(t, c), "sha1:")
	})
	if owner := w.release("production").Spec.Owner; owner != namespace+"/models" {
		t.Errorf("%s took it without being asked", owner)
	}
	w.patch(registries, "others", map[string]any{"takeOver": []any{namespace + "/models"}})
	w.eventually("taken over", func() bool {
		mr := w.release("production")
		return mr.Spec.Owner == namespace+"/others" && mr.Status.Phase == v1alpha1.Healthy && !mr.Pending()
	})
	if after := w.deployment("iris"); after.UID != before.UID || after.Generation != before.Generation {
		t.Error("the Deployment was rolled out again")
	}
	w.eventually("both taken over", func() bool { return w.ownerOf("second") == namespace+"/others" })

	w.patch(registries, "others", map[string]any{"deletionPolicy": "Delete"})
	w.eventually("answered", func() bool {
		got, _ := w.kstatus(registries, "others")
		return got == status.CurrentStatus
	})
	remove("others")
	w.eventually("its releases are gone", func() bool {
		list, err := w.modelReleases().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		deployments, err := w.kubectl().AppsV1().Deployments(w.namespace("production")).List(t.Context(), metav1.ListOptions{})
		return err == nil && len(list.Items) == 0 && len(deployments.Items) == 0
	})
	ns, err := w.kubectl().CoreV1().Namespaces().Get(t.Context(), w.namespace("production"), get)
	if err != nil || ns.Status.Phase != corev1.NamespaceActive {
		t.Errorf("the namespace did not stay: %v %v", ns, err)
	}

	// With its namespace.
	last := other.DeepCopy()
	last.Object["metadata"] = map[string]any{"name": "models"}
	if _, err := registries.Create(t.Context(), last, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.patch(registries, "models", map[string]any{"deletionPolicy": "Delete"})
	w.eventually("healthy", func() bool { return w.ownerOf("iris") == namespace+"/models" && w.of("iris").Phase == v1alpha1.Healthy })
	if err := w.kubectl().CoreV1().Namespaces().Delete(t.Context(), namespace, deleteNow); err != nil {
		t.Fatal(err)
	}
	w.eventually("davit's namespace is gone", func() bool {
		_, err := w.kubectl().CoreV1().Namespaces().Get(t.Context(), namespace, get)
		return err != nil
	})
	w.deployment("iris")
	w.of("iris")
}

// TestDeletedAndMadeAnew: a ModelRegistry that is deleted by the policy Delete takes all of its releases with it although
// another one of its name is there at once, and whatever that one has.
func TestDeletedAndMadeAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("second")
	w.commit("two releases")
	namespace := w.id + "-davit"
	registries := w.grantRegistry(namespace)
	defer w.controller(namespace)()
	w.all("iris", "second")
	before := map[string]types.UID{"iris": w.deployment("iris").UID, "second": w.deployment("second").UID}
	live, err := registries.Get(t.Context(), "models", get)
	if err != nil {
		t.Fatal(err)
	}
	again := live.DeepCopy()
	again.Object["metadata"] = map[string]any{"name": "models"}
	delete(again.Object, "status")
	w.patch(registries, "models", map[string]any{"deletionPolicy": "Delete"}) // and all that follows before that is seen to
	if err := registries.Delete(t.Context(), "models", deleteNow); err != nil {
		t.Fatal(err)
	}
	if _, err := registries.Create(t.Context(), again, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, uid := range before {
		w.eventually(name+" made anew", func() bool {
			d, err := w.kubectl().AppsV1().Deployments(w.namespace("production")).Get(t.Context(), name, get)
			return err == nil && d.UID != uid
		})
		w.eventually(name+" healthy", func() bool {
			mr, err := w.cluster.Release(t.Context(), w.namespace("production"), "production", name)
			return err == nil && mr != nil && mr.Status.Phase == v1alpha1.Healthy
		})
	}
	w.goes(registries, "Followed", "", status.CurrentStatus)
}

func toText(t *testing.T, o runtime.Unstructured) string {
	t.Helper()
	text, err := json.Marshal(o.UnstructuredContent())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ownerOf is the owner of a release in production; nobody while there is none.
func (w *world) ownerOf(name string) string {
	w.t.Helper()
	mr, err := w.cluster.Release(w.t.Context(), w.namespace("production"), "production", name)
	if err != nil || mr == nil {
		return ""
	}
	return mr.Spec.Owner
}
