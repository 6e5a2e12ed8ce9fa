package reconciler_test

import (
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestHastenedSoak: a shared change soaks for less where the right key signed that, and for no less where it did not.
func TestHastenedSoak(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key, other := newSigner(t, "ada@example.com"), newSigner(t, "eve@example.com")
	w.add("a", "b")
	w.policy("production", "  fleet: {waves: [1, 100%], soak: 1h}\n  roles: {urgent: ['"+key.public+"']}\n")
	w.remove("releases/iris")
	w.commit("two releases")
	told := make(chan []v1alpha1.Rollout, 100)
	w.follow(func(c *reconciler.Config) { c.Rollouts = func(r []v1alpha1.Rollout) { told <- r } })
	w.all("a", "b")
	soak := func(want string) v1alpha1.Rollout {
		t.Helper()
		for deadline := time.After(90 * time.Second); ; {
			select {
			case all := <-told:
				if len(all) == 1 && strings.Contains(all[0].Soak, want) {
					return all[0]
				}
			case <-deadline:
				t.Fatalf("no rollout says %q", want)
			}
		}
	}
	change := func(from, to string) {
		w.edit("runtimes/iris-server/0.1.0/deployment.yaml", "terminationGracePeriodSeconds: "+from, "terminationGracePeriodSeconds: "+to)
	}
	change("10", "11")
	w.sign(other, "a shared change\n\nDavit-Soak: 0s")
	soak("Davit-Soak is not heeded: commit ")
	w.until("production/a", "v1", v1alpha1.Healthy)
	w.eventually("an Event", func() bool { return w.event("Soak", "is not heeded") })

	change("11", "12")
	w.sign(key, "a shared change\n\nDavit-Soak: 2h")
	soak("2h0m0s is not less than the environment's 1h0m0s")
	w.until("production/a", "v1", v1alpha1.Healthy)

	change("12", "13")
	w.sign(key, "a hole is closed\n\nDavit-Soak: 1s")
	head := w.git("rev-parse", "HEAD")
	soak("1s between waves and not 1h0m0s, by ada@example.com")
	for _, name := range []string{"a", "b"} {
		w.eventually(name+" healthy at it", func() bool { return w.of(name).Healthy.Commit == head })
	}
}
