package reconciler_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// withFloor has environments be those of a ModelRegistry, production with a floor, and outcomes be signed with a key.
func (w *world) withFloor(floor registry.Policy, key ssh.Signer) func(*reconciler.Config) {
	return func(c *reconciler.Config) {
		author := gitops.Davit()
		author.Key = key
		c.Grants = map[string]reconciler.Grant{"staging": {Cluster: c.Cluster}, "production": {Cluster: c.Cluster, Policy: &floor}}
		c.Cluster, c.Committer, c.Notes = nil, &author, c.Source.NewNotes(author, nil)
	}
}

// forge writes an outcome into Git as whoever may push there can.
func (w *world) forge(release, version string) {
	w.t.Helper()
	line := `{"at":"` + time.Now().UTC().Format(time.RFC3339) + `","release":"` + release + `","outcome":"Healthy","version":"` + version + `","image":"` + dev.Registry + `/models/iris@sha256:00"}`
	w.git("notes", "--ref=davit", "append", "-m", line, "HEAD")
}

// TestForgedOutcomes: that something was healthy before counts as this controller wrote it, where no file lowers the policy.
func TestForgedOutcomes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := newKey(t)
	none := registry.Strict()
	stop := w.follow(w.withFloor(none, key))
	w.until(production, "v1", v1alpha1.Healthy)
	stop()
	floor := registry.Strict()
	floor.Gates.Evidence = []string{"model-card"}
	w.promote("v1", "v2")
	w.forge(production, "v2")
	stop = w.follow(w.withFloor(floor, key))
	w.waits("GateClosed", "iris@v2 needs a file")
	w.promote("v2", "v1")
	w.drain("production", "settled at v1", func(s v1alpha1.ModelReleaseStatus) bool { return s.Phase == v1alpha1.Healthy })
	stop()
	w.loseRelease()
	w.follow(w.withFloor(floor, key))
	w.until(production, "v1", v1alpha1.Healthy) // which is signed, though forged ones are around it
}

// TestOutcomesWithoutAKey: where no file lowers the policy, outcomes that anybody may have written are none.
func TestOutcomesWithoutAKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	floor := registry.Strict()
	floor.Gates.Evidence = []string{"model-card"}
	w.forge(production, "v1")
	w.follow(w.withFloor(floor, nil))
	w.eventually("shown", func() bool {
		mr, err := w.cluster.Release(t.Context(), w.namespace("production"), "production", "iris")
		return err == nil && mr != nil
	})
	w.waits("GateClosed", "without committer.signingKey nothing says who wrote the outcomes in Git")
}

// TestUrgentAndAFloor: who goes through a freeze of the floor's the floor says, and no file.
func TestUrgentAndAFloor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := newSigner(t, "eve@example.com")
	floor := registry.Strict()
	stop := w.follow(w.withFloor(floor, nil))
	w.until(production, "v1", v1alpha1.Healthy)
	stop()
	floor.Freeze = []registry.Freeze{{Name: "year", From: registry.Moment{Time: time.Now().Add(-time.Hour)}, Until: registry.Moment{Time: time.Now().Add(time.Hour)}}}
	w.policy("production", "  roles: {urgent: ['"+key.public+"']}\n")
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.sign(key, "mine\n\nDavit-Urgent: I say so")
	w.follow(w.withFloor(floor, nil))
	w.waits("Frozen", "no key has the role urgent")
}

// noted writes an outcome at a commit into Git as whoever may push there can.
func (w *world) noted(commit, version, outcome string, ago time.Duration) {
	w.t.Helper()
	line := `{"at":"` + time.Now().Add(-ago).UTC().Format(time.RFC3339) + `","release":"production/iris","outcome":"` + outcome + `","version":"` + version + `","image":"` + dev.Registry + `/models/iris@sha256:00"}`
	w.git("notes", "--ref=davit", "append", "-m", line, commit)
}

// TestRegainedIsFollowable: a cluster that knows nothing goes back to no commit that the branch does not have, whatever
// outcomes tell, be it there or gone; and where outcomes must be signed, to none that others tell of.
func TestRegainedIsFollowable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.git("checkout", "-q", "-b", "davit/evil")
	w.edit("releases/iris/serving.yaml", "replicas: 1", "replicas: 3")
	w.commit("never merged")
	w.noted("HEAD", "v1", "Healthy", time.Hour)
	w.git("checkout", "-q", "main")
	w.promote("v1", "v2")
	w.noted("HEAD", "v2", "Failed", time.Minute)
	brought := func(with ...func(*reconciler.Config)) {
		t.Helper()
		stop := w.follow(with...)
		w.until(production, "v2", v1alpha1.Healthy)
		stop()
		if n := *w.deployment("iris").Spec.Replicas; n != 1 {
			t.Errorf("%d replicas: a commit was brought that was never merged", n)
		}
		w.loseRelease()
	}
	brought()
	w.git("branch", "-q", "-D", "davit/evil")
	w.git("reflog", "expire", "--expire=now", "--all")
	w.git("gc", "-q", "--prune=now")
	brought()

	w.git("update-ref", "-d", "refs/notes/davit")
	w.noted("HEAD~1", "v1", "Healthy", time.Hour)
	w.noted("HEAD", "v2", "Failed", time.Minute)
	brought(w.withFloor(registry.Strict(), newKey(t)))
}

func newKey(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
