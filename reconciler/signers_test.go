package reconciler_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestSigners: an environment with signers follows what they sign, stays there meanwhile, and is kept as that says.
func TestSigners(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v %s", err, out)
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	signers, err := gitops.ParseSigners("ada@example.com " + string(public))
	if err != nil {
		t.Fatal(err)
	}
	sign := func(message string) {
		w.git("-c", "gpg.format=ssh", "-c", "user.signingkey="+key, "commit", "-q", "--allow-empty", "-S", "-m", message)
	}
	var r *reconciler.Reconciler
	follow := func() (behind <-chan error, stop func()) {
		told := make(chan error, 100)
		r = w.granted(silent(t), reconciler.Grant{Signers: signers}, func(c *reconciler.Config) {
			c.Followed = func(_ gitops.Hash, err error) { told <- err }
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		return told, func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}

	told, stop := follow()
	if err := <-told; err == nil || !strings.Contains(err.Error(), "production") || !strings.Contains(err.Error(), "is not signed") {
		t.Fatalf("an unsigned commit: %v", err)
	}
	sign("signed")
	if err := <-told; err != nil {
		t.Fatalf("a signed commit: %v", err)
	}
	w.until(production, "v1", v1alpha1.Healthy)
	signed := w.git("rev-parse", "HEAD")

	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.add("second")
	w.commit("nobody signs a promotion")
	<-told
	w.git("rm", "-q", "-r", "releases/iris")
	w.commit("nor a removal")
	<-told
	w.scale("iris", 3)
	w.eventually("corrected while unsigned commits wait", func() bool { return *w.deployment("iris").Spec.Replicas == 1 })
	if got := w.of("iris"); got.Applied.Version != "v1" {
		t.Errorf("iris: %+v", got)
	}
	stop()

	// Another process begins at what was signed.
	w.scale("iris", 3)
	told, stop = follow()
	defer stop()
	if err := <-told; err == nil {
		t.Error("an unsigned commit was followed after a start")
	}
	w.eventually("corrected after a start", func() bool { return *w.deployment("iris").Spec.Replicas == 1 })
	if got := w.of("iris"); got.Applied.Version != "v1" || got.Held != nil {
		t.Errorf("iris, signed at %s: %+v", signed, got)
	}
	w.git("revert", "--no-edit", "HEAD")
	<-told
	sign("Ada has looked at all of it")
	w.until(production, "v2", v1alpha1.Healthy)
	w.eventually("the new release, too", func() bool {
		mr, err := w.cluster.Release(t.Context(), w.namespace("production"), "production", "second")
		return err == nil && mr != nil && mr.Status.Phase == v1alpha1.Healthy
	})
}
