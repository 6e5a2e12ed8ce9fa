package reconciler_test

import (
	"strings"
	"testing"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

func (w *world) markBad(version string) {
	w.t.Helper()
	w.write("models/iris/bad/"+version+".yaml", "apiVersion: davit.dev/v1alpha1\nkind: BadVersion\nspec: {reason: calls roses tulips, by: ada}\n")
	w.commit(version + " is bad")
}

// TestBadVersion: a version that is marked bad is not promoted any more. Who has it keeps it, is corrected, may change
// otherwise, come back to it and be pinned to it, and goes back to another at any time.
func TestBadVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("second")
	w.commit("a second release")
	w.follow()
	w.all("iris", "second")
	w.promote("v1", "v2")
	w.until(production, "v2", v1alpha1.Healthy)
	generation := w.deployment("iris").Generation
	w.markBad("v2")
	w.edit("releases/second/production.yaml", "version: v1", "version: v2")
	w.commit("promote it all the same")
	why := func(s v1alpha1.ModelReleaseStatus) bool {
		return s.Phase == v1alpha1.Waiting && s.Reason == "VersionMarkedBad" && s.Applied.Version == "v1" && s.Held == nil &&
			strings.Contains(s.Message, "is marked bad by ada: calls roses tulips (models/iris/bad/v2.yaml)")
	}
	w.eventually("held back", func() bool { return why(w.of("second")) })
	if got := w.status("production"); got.Phase != v1alpha1.Healthy || w.deployment("iris").Generation != generation {
		t.Errorf("who has it: %+v", got)
	}
	if version := w.deployment("second").Spec.Template.Labels["davit.dev/version"]; version != "v1" {
		t.Errorf("second serves %s", version)
	}
	w.edit("releases/iris/production.yaml", "version: v2", "version: v2\n  replicas: 2")
	w.commit("more of it")
	w.until(production, "v2", v1alpha1.Healthy)
	w.promote("v2", "v3") // its simulated pods crash
	w.until(production, "v2", v1alpha1.RolledBack)
	w.promote("v3", "v1")
	w.until(production, "v1", v1alpha1.Healthy)
	w.pin("HEAD", "v2")
	w.pinnedAt("v2")
	w.remove("models/iris/bad")
	w.commit("it was not that bad")
	w.until("production/second", "v2", v1alpha1.Healthy)
}
