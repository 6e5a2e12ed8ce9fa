package reconciler_test

import (
	"context"
	"log/slog"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestPinRefused: what can't or may not be applied changes nothing, and the status says why.
func TestPinRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	w.ask(func(s *v1alpha1.ModelReleaseSpec) { s.Suspend = &v1alpha1.Suspend{By: "ada"} })
	change := func(change func()) (commit string) {
		change()
		w.commit("a moment")
		commit = w.git("rev-parse", "HEAD")
		w.git("revert", "--no-edit", "HEAD")
		return commit
	}
	slip := change(func() { w.edit("releases/iris/production.yaml", "version: v1", "verison: v1") })
	gone := change(func() { w.remove("releases/iris/production.yaml") })
	elsewhere := change(func() { w.edit("environments/production/environment.yaml", w.namespace("production"), "elsewhere") })
	w.ask(func(s *v1alpha1.ModelReleaseSpec) { s.Suspend = nil })
	w.git("checkout", "-q", "-b", "feature")
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("v2 on a branch")
	w.git("checkout", "-q", "main")
	w.eventually("followed", func() bool {
		mr := w.release("production")
		return mr.Status.ObservedGeneration == mr.Generation && mr.Status.Phase == v1alpha1.Healthy
	})
	before := w.deployment("iris").Generation
	root := w.git("rev-parse", "HEAD")
	for name, c := range map[string]struct{ commit, version, want string }{
		"a branch":        {"feature", "", "is not in the history of"},
		"a version":       {root, "v9", `version "v9" of model "iris" does not exist (have v1, v2, v3)`},
		"not a version":   {root, "v2\n  replicas: 9", "is not letters"},
		"the empty tree":  {w.git("commit-tree", "4b825dc642cb6eb9a060e54bf8d69288fbee4904", "-m", "nothing"), "", "is not in the history of"},
		"a fault":         {slip, "", "production/iris has a fault there: releases/iris/production.yaml:"},
		"another place":   {elsewhere, "", "the release was in namespace elsewhere there"},
		"no such release": {gone, "", "production/iris is not in the registry there"},
	} {
		w.pin(c.commit, c.version)
		got := w.drain("production", name+" refused", func(s v1alpha1.ModelReleaseStatus) bool {
			return s.Reason == "PinRefused" && strings.Contains(s.Message, c.want)
		})
		if got.Phase != v1alpha1.Healthy || !strings.Contains(got.Message, "davit resume production/iris ends the pin") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	w.ask(func(s *v1alpha1.ModelReleaseSpec) {
		s.Pin = &v1alpha1.Pin{Commit: strings.Repeat("c", 40), At: metav1.NowMicro()}
	})
	w.drain("production", "an unknown commit refused", func(s v1alpha1.ModelReleaseStatus) bool {
		return s.Reason == "PinRefused" && strings.Contains(s.Message, "commit cccccccccccc is not in this repository")
	})
	if after := w.deployment("iris").Generation; after != before {
		t.Errorf("generation %d, was %d", after, before)
	}
	w.ask(func(s *v1alpha1.ModelReleaseSpec) { s.Pin = nil })
	w.drain("production", "healthy", func(s v1alpha1.ModelReleaseStatus) bool { return s.Reason == "Healthy" && s.Message == "" })
}

// TestPinWithoutGit: a process that starts while the remote is out of reach pins from its mirror.
func TestPinWithoutGit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("v2")
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(&cgi.Handler{
		Path: git, Args: []string{"http-backend"}, Env: []string{"GIT_PROJECT_ROOT=" + w.dir, "GIT_HTTP_EXPORT_ALL=1"},
	})
	mirror := t.TempDir()
	remote := func(c *reconciler.Config) {
		c.Source, err = gitops.Open(t.Context(), gitops.Config{
			URL: server.URL + "/.git", Branch: "main", Mirror: mirror, Interval: 100 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Error(err)
		}
	}
	stop := w.follow(remote)
	w.until(production, "v2", v1alpha1.Healthy)
	w.pin("HEAD~1", "")
	w.pinnedAt("v1")
	server.Close()
	w.pin("HEAD", "")
	applied := w.eventually("v2 applied", func() bool { return w.serves() == "v2" })
	t.Logf("applied %s after the pin was written, without Git", applied)
	w.pinnedAt("v2")
	stop()
	w.pin("HEAD~1", "")
	began := time.Now()
	w.follow(remote)
	w.eventually("v1 applied", func() bool { return w.serves() == "v1" })
	t.Logf("applied %s after a process started from the mirror", time.Since(began))
	w.pinnedAt("v1")
}

// TestPinIsNoWayAround: a pin is bound to what was granted, and where commits must be signed, to those that were followed.
func TestPinIsNoWayAround(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sign, signers := w.signing()
	w.git("checkout", "-q", "-b", "feature")
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("nobody signs a feature")
	w.edit("models/iris/versions/v2.yaml", "source: models/iris/files/v2/model.safetensors", "source: https://example.com/model.safetensors")
	w.git("checkout", "-q", "-f", "main")
	w.git("-c", "gpg.format=ssh", "merge", "-q", "--no-ff", "--no-commit", "feature")
	w.edit("releases/iris/production.yaml", "version: v2", "version: v1")
	w.git("add", "-A")
	sign("merged, without the promotion")
	r := w.granted(silent(t), reconciler.Grant{Signers: signers, Sources: []v1alpha1.SourceGrant{{Prefix: "s3://models"}}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	w.until(production, "v1", v1alpha1.Healthy)
	w.pin("feature", "")
	w.drain("production", "refused", func(s v1alpha1.ModelReleaseStatus) bool {
		return s.Reason == "PinRefused" && strings.Contains(s.Message, "is not in the history of")
	})
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("nobody signs this, and nobody follows it")
	unsigned := w.git("rev-parse", "HEAD")
	w.edit("releases/iris/production.yaml", "version: v2", "version: v1")
	w.git("add", "-A")
	sign("taken back")
	head := w.git("rev-parse", "HEAD")
	w.pin(unsigned, "")
	w.drain("production", "refused again", func(s v1alpha1.ModelReleaseStatus) bool {
		return s.Reason == "PinRefused" && strings.Contains(s.Message, unsigned[:12]+" is not signed") && s.Applied.Version == "v1"
	})
	w.eventually("the signed one is followed", func() bool { return r.Following()["production"].String() == head })
	w.edit("models/iris/versions/v2.yaml", "source: models/iris/files/v2/model.safetensors", "source: https://example.com/model.safetensors")
	w.git("add", "-A")
	sign("weights from elsewhere")
	w.pin("HEAD", "v2")
	w.drain("production", "not granted", func(s v1alpha1.ModelReleaseStatus) bool {
		return s.Reason == "NotGranted" && strings.Contains(s.Message, "https://example.com/model.safetensors") && s.Applied.Version == "v1"
	})
}

// signing makes a key, and a function that commits what is staged with it.
func (w *world) signing() (sign func(message string), signers *gitops.Signers) {
	w.t.Helper()
	key := filepath.Join(w.t.TempDir(), "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		w.t.Fatalf("ssh-keygen: %v %s", err, out)
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		w.t.Fatal(err)
	}
	if signers, err = gitops.ParseSigners("ada@example.com " + string(public)); err != nil {
		w.t.Fatal(err)
	}
	return func(message string) {
		w.git("-c", "gpg.format=ssh", "-c", "user.signingkey="+key, "commit", "-q", "--allow-empty", "-S", "-m", message)
	}, signers
}
