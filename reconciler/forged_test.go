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
