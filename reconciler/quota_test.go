package reconciler_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// gpus has a production release ask for GPUs; no node here has one, so it stays on its way with them.
func (w *world) gpus(name string, from, to int) {
	w.t.Helper()
	field := func(n int) string {
		if n == 0 {
			return "version: v1\n"
		}
		return fmt.Sprintf("version: v1\n  accelerator: gpu\n  gpus: %d\n", n)
	}
	w.edit("releases/"+name+"/production.yaml", field(from), field(to))
}

// TestQuota: what would have more GPUs than there are for it waits, first come by name, until others give some back; who
// takes no more passes, and so does a pin.
func TestQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	names := []string{"a", "b", "c", "d"}
	w.add(names...)
	w.remove("releases/iris")
	w.policy("production", "  quota: {gpus: 4}\n")
	for _, name := range names {
		w.gpus(name, 0, 2)
	}
	w.commit("eight GPUs wanted, four to be had")
	stop := w.follow()
	takes := func(name string) bool {
		mr, err := w.cluster.Release(t.Context(), w.namespace("production"), "production", name)
		return err == nil && mr != nil && mr.Spec.Claim.Version == "v1"
	}
	waits := func(name string) bool {
		mr, err := w.cluster.Release(t.Context(), w.namespace("production"), "production", name)
		return err == nil && mr != nil && mr.Status.Reason == "QuotaExceeded" && strings.Contains(mr.Status.Message, "environment production may have 4 GPUs: 4 are in use or promised, and "+name+" asks for 2")
	}
	w.eventually("given out by name", func() bool { return takes("a") && takes("b") && waits("c") && waits("d") })
	w.eventually("recorded", func() bool { return w.of("a").Applied.GPUs == 2 && w.of("b").Applied.GPUs == 2 })

	// Another process counts what is there.
	stop()
	w.follow()
	w.gpus("a", 2, 1)
	w.gpus("d", 2, 1)
	w.commit("a shrinks, and d wants one")
	w.eventually("d has what a gave back", func() bool { return takes("d") })
	if takes("c") {
		t.Error("c has two of which one is another's")
	}
	w.gpus("b", 2, 0)
	w.commit("b needs none")
	w.eventually("c has them", func() bool { return takes("c") })
}

// TestQuotaOfTeams: each team has its own bound, and one with none is not counted.
func TestQuotaOfTeams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("a", "b")
	w.remove("releases/iris")
	w.policy("production", "  quota: {perTeam: 1, teams: {vision: 3}}\n")
	w.write("teams/vision/team.yaml", "apiVersion: davit.dev/v1alpha1\nkind: Team\nspec: {owners: [ada]}\n")
	w.gpus("a", 0, 2)
	w.gpus("b", 0, 2)
	for _, file := range []string{"serving.yaml", "production.yaml"} {
		w.write("teams/vision/releases/b/"+file, w.text("releases/b/"+file))
	}
	w.remove("releases/b")
	w.commit("two teams")
	w.follow()
	w.eventually("bounded by team", func() bool {
		a, errA := w.cluster.Release(t.Context(), w.namespace("production"), "production", "a")
		b, errB := w.cluster.Release(t.Context(), w.namespace("production"), "production", "b")
		return errA == nil && errB == nil && a != nil && b != nil && b.Spec.Claim.Version == "v1" && a.Spec.Claim.Version == "" &&
			a.Status.Message == "what is in no team may have 1 GPU in production: 0 are in use or promised, and a asks for 2; take some back, or raise quota.perTeam"
	})
}

// TestQuotaIsNotOvershot by many workers at once, whatever order they ask in.
func TestQuotaIsNotOvershot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var names []string
	for i := range 24 {
		names = append(names, fmt.Sprintf("r%02d", i))
	}
	w.add(names...)
	w.remove("releases/iris")
	w.policy("production", "  quota: {gpus: 7}\n")
	for _, name := range names {
		w.gpus(name, 0, 1)
	}
	w.commit("many")
	w.follow(func(c *reconciler.Config) { c.Workers = 24 })
	var has []string
	w.eventually("all decided", func() bool {
		has = nil
		n := 0
		for _, name := range names {
			mr, err := w.cluster.Release(t.Context(), w.namespace("production"), "production", name)
			if err != nil || mr == nil {
				return false
			}
			switch {
			case mr.Spec.Claim.Version == "v1":
				has = append(has, name)
				n++
			case mr.Status.Reason == "QuotaExceeded" && mr.Status.Phase == v1alpha1.Waiting:
				n++
			}
		}
		return n == len(names)
	})
	if !slices.Equal(has, names[:7]) {
		t.Errorf("%v have a GPU", has)
	}
}

// TestQuotaAndRemovals: GPUs of several releases that are removed at once go to who waits for them.
func TestQuotaAndRemovals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	names := []string{"a", "b", "c"}
	w.add(names...)
	w.remove("releases/iris")
	w.policy("production", "  quota: {gpus: 4}\n")
	w.gpus("a", 0, 2)
	w.gpus("b", 0, 2)
	w.gpus("c", 0, 4)
	w.commit("eight wanted, four to be had")
	w.follow(func(c *reconciler.Config) { c.Workers = 1 })
	w.eventually("c waits", func() bool {
		mr, err := w.cluster.Release(t.Context(), w.namespace("production"), "production", "c")
		return err == nil && mr != nil && mr.Status.Reason == "QuotaExceeded"
	})
	for _, name := range names[:2] {
		w.eventually(name+" recorded", func() bool {
			mr, err := w.cluster.Release(t.Context(), w.namespace("production"), "production", name)
			return err == nil && mr != nil && mr.Status.Applied.GPUs == 2
		})
	}
	w.remove("releases/a")
	w.remove("releases/b")
	w.commit("both go")
	w.eventually("c has them", func() bool { return w.of("c").Applied.GPUs == 4 })
}

// TestQuotaStopsNoWayBack: what was healthy here before comes back, though others have its GPUs by now.
func TestQuotaStopsNoWayBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("b")
	w.edit("accelerators/gpu/accelerator.yaml", "nvidia.com/gpu", "ephemeral-storage") // which nodes have, by the byte
	asks := func(name string, from, to int) {
		field := "version: v1\n  accelerator: gpu\n  gpus: 1\n  replicas: %d\n"
		w.edit("releases/"+name+"/production.yaml", fmt.Sprintf(field, from), fmt.Sprintf(field, to))
	}
	for _, name := range []string{"iris", "b"} {
		w.edit("releases/"+name+"/production.yaml", "version: v1\n", "version: v1\n  accelerator: gpu\n  gpus: 1\n  replicas: 0\n")
	}
	w.policy("production", "  quota: {gpus: 2}\n")
	asks("iris", 0, 2)
	w.commit("iris has both")
	w.follow()
	w.all("iris", "b")
	asks("iris", 2, 1)
	w.commit("iris shrinks")
	shrunk := w.git("rev-parse", "HEAD")
	w.eventually("iris has one", func() bool { return w.of("iris").Healthy.GPUs == 1 })
	asks("b", 0, 1)
	w.commit("b takes the other")
	w.eventually("b has one", func() bool { return w.of("b").Healthy.GPUs == 1 })
	w.git("revert", "--no-edit", shrunk)
	w.eventually("iris is back", func() bool { return w.of("iris").Healthy.GPUs == 2 })
	asks("b", 1, 2)
	w.commit("b wants more than there is")
	w.eventually("b waits", func() bool { return w.of("b").Reason == "QuotaExceeded" })
}
