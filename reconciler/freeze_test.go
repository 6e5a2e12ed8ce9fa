package reconciler_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// signer is a key pair of ssh-keygen.
type signer struct{ file, public string }

func newSigner(t *testing.T, name string) signer {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-C", name, "-N", "", "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v %s", err, out)
	}
	public, err := os.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return signer{file, strings.TrimSpace(string(public))}
}

// sign commits with a signature.
func (w *world) sign(key signer, message string) {
	w.t.Helper()
	w.git("add", "-A")
	w.git("-c", "gpg.format=ssh", "-c", "user.signingkey="+key.file, "commit", "-q", "--allow-empty", "-S", "-m", message)
}

// clock is a present that a test moves.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time            { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) in(cfg *reconciler.Config) { cfg.Now = c.now }

// freeze has production frozen for a while, and the keys of a role be who may go through.
func freeze(length time.Duration, keys ...signer) string {
	now := time.Now().UTC()
	text := fmt.Sprintf("  freeze:\n    - {name: audit, from: %s, until: %s, reason: books are closed}\n", now.Add(-time.Hour).Format(time.RFC3339), now.Add(length).Format(time.RFC3339))
	if len(keys) > 0 {
		text += "  roles:\n    urgent:\n"
	}
	for _, key := range keys {
		text += "      - " + key.public + "\n"
	}
	return text
}

// TestFreeze: nothing of an environment changes while it is frozen, but for drift, pins and ways back; afterwards what
// waited goes on by itself.
func TestFreeze(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("second")
	w.commit("two releases")
	w.follow()
	w.all("iris", "second")
	w.promote("v1", "v2")
	w.until(production, "v2", v1alpha1.Healthy)
	end := 75 * time.Second
	w.policy("production", freeze(end))
	began := time.Now()
	w.edit("releases/iris/serving.yaml", "replicas: 1", "replicas: 2")
	w.commit("frozen, and more replicas")
	got := w.waits("Frozen", `freeze "audit" (books are closed): nothing new is applied to production until`)
	if !strings.Contains(got.Message, "only ways back pass") || got.Applied.Version != "v2" {
		t.Errorf("%+v", got)
	}
	w.until(staging, "v1", v1alpha1.Healthy) // another environment is no matter
	w.scale("iris", 5)
	w.eventually("drift is corrected", func() bool { return *w.deployment("iris").Spec.Replicas == 1 })

	w.edit("releases/iris/production.yaml", "version: v2", "version: v1")
	w.commit("back to what was healthy here before")
	w.until(production, "v1", v1alpha1.Healthy)
	w.pin("HEAD", "v2")
	w.pinnedAt("v2")

	shared := "runtimes/iris-server/0.1.0/deployment.yaml"
	w.remove("releases/second")
	w.edit(shared, "terminationGracePeriodSeconds: 10", "terminationGracePeriodSeconds: 11")
	w.commit("a removal and a shared change")
	w.eventually("the removal waits", func() bool {
		s := w.of("second")
		return s.Reason == "Frozen" && strings.Contains(s.Message, "its removal waits")
	})
	if took := time.Since(began); took > end {
		t.Fatalf("this machine is too slow: the freeze of %s is over after %s", end, took)
	}
	w.until("production/second", "v1", reconciler.Removed)
	if took := time.Since(began); took < end-time.Second {
		t.Errorf("removed after %s of a freeze of %s", took, end)
	}
}

// TestUrgent: a change that the right key signed as urgent goes through, and history says so.
func TestUrgent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key, other := newSigner(t, "ada@example.com"), newSigner(t, "eve@example.com")
	w.policy("production", freeze(time.Hour, key))
	w.commit("frozen from the first")
	w.follow(noting)
	w.until(staging, "v1", v1alpha1.Healthy)
	w.waits("Frozen", "an urgent fix passes as a commit with the trailer Davit-Urgent")
	w.write("models/iris/README.md", "nothing")
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.sign(other, "a fix\n\nDavit-Urgent: it is down")
	w.waits("Frozen", "its trailer Davit-Urgent counts with a signature by a key of the role urgent")
	w.edit("releases/iris/production.yaml", "version: v2", "version: v1")
	w.sign(key, "again\n\nDavit-Urgent: it is down")
	w.waits("Frozen", "none of the signers") // the one before it is not signed by her
}

// TestUrgentChanges: commits, merges and shared changes that are signed as urgent.
func TestUrgentChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := newSigner(t, "ada@example.com")
	w.follow(noting)
	w.until(production, "v1", v1alpha1.Healthy)
	w.policy("production", freeze(time.Hour, key))
	w.promote("v1", "v2")
	w.waits("Frozen", "does not ask for it with the trailer Davit-Urgent")
	w.promote("v2", "v1") // which leaves nothing of the one that is not urgent
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.sign(key, "a fix\n\nDavit-Urgent: it is down")
	w.until(production, "v2", v1alpha1.Healthy)
	urgent := func(version, reason string) {
		t.Helper()
		o := w.status("production").Outcomes[0]
		if o.Outcome != v1alpha1.Healthy || o.Version != version || o.By != "ada@example.com" || o.Reason != "Urgent" || o.Message != "urgent, through a freeze: "+reason {
			t.Errorf("history says %+v", o)
		}
	}
	urgent("v2", "it is down")

	// What a forge merges it does not sign: what is merged must be.
	merge := func(what string) { w.git("checkout", "-q", "main"); w.git("merge", "-q", "--no-ff", "-m", what, "fix") }
	w.git("checkout", "-q", "-b", "fix")
	w.edit("releases/iris/production.yaml", "version: v2", "version: v2\n  replicas: 2")
	w.commit("not signed")
	w.edit("releases/iris/production.yaml", "replicas: 2", "replicas: 3")
	w.sign(key, "signed\n\nDavit-Urgent: too slow")
	merge("merge what is signed in part")
	w.waits("Frozen", "does not ask for it")
	w.git("revert", "--no-edit", "-m", "1", "HEAD")
	w.git("branch", "-q", "-D", "fix")
	w.git("checkout", "-q", "-b", "fix")
	w.edit("releases/iris/production.yaml", "version: v2", "version: v2\n  replicas: 2")
	w.sign(key, "signed\n\nDavit-Urgent: too slow")
	w.write("models/iris/README.md", "nothing of it")
	w.commit("not signed, and nothing of it")
	merge("merge what is signed")
	merged := w.git("rev-parse", "HEAD")
	w.drain("production", "healthy with two", func(s v1alpha1.ModelReleaseStatus) bool {
		return s.Healthy.Commit == merged && *w.deployment("iris").Spec.Replicas == 2
	})
	urgent("v2", "too slow")

	w.edit("runtimes/iris-server/0.1.0/deployment.yaml", "terminationGracePeriodSeconds: 10", "terminationGracePeriodSeconds: 11")
	w.sign(key, "shared\n\nDavit-Urgent: a hole")
	head := w.git("rev-parse", "HEAD")
	w.drain("production", "healthy with the shared change", func(s v1alpha1.ModelReleaseStatus) bool { return s.Healthy.Commit == head })
	urgent("v2", "a hole")
}

// TestFreezeAndANewCluster: what was healthy before comes back, and what never was waits for the end, which a moved clock
// brings with the next commit.
func TestFreezeAndANewCluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.follow(noting)
	w.until(production, "v1", v1alpha1.Healthy)
	stop()
	w.policy("production", freeze(time.Hour))
	w.add("second")
	w.commit("frozen, and a new release")
	w.loseRelease()
	c := &clock{}
	w.follow(noting, c.in)
	w.until(production, "v1", v1alpha1.Healthy)
	w.eventually("the new one waits", func() bool {
		mr, err := w.cluster.Release(t.Context(), w.namespace("production"), "production", "second")
		return err == nil && mr != nil && mr.Status.Reason == "Frozen"
	})
	c.ahead.Store(int64(2 * time.Hour))
	w.write("README.md", "nothing")
	w.commit("nothing")
	w.until("production/second", "v1", v1alpha1.Healthy)
}
