package reconciler

import (
	"maps"
	"slices"

	"github.com/davit-dev/davit/reconciler/metrics"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// What a scrape calls a release that has no phase.
const (
	phasePending v1alpha1.Phase = "Pending" // nothing of it is in the cluster yet
	phaseBroken  v1alpha1.Phase = "Broken"  // a file of it has a fault
)

// standing yields how every release stands, for a scrape. It waits for nobody: a build may take hours.
func (r *Reconciler) standing(yield func(metrics.Release)) metrics.Standing {
	want := r.desired.Load()
	all := r.all()
	there := make(map[registry.Key]bool, len(all))
	for _, s := range all {
		if st := s.shown.Load(); st != nil && s.inCluster.Load() {
			there[s.key] = true
			yield(s.standing(want))
		}
	}
	if want != nil {
		want.absent(there, r.mine, yield)
	}
	st := r.underWork()
	st.Environments = r.present(want)
	return st
}

// present are the environments that are followed; nil while no commit is. One with a fault in its file stays: its releases
// go on.
func (r *Reconciler) present(want *desired) []string {
	if want == nil {
		return nil
	}
	there := map[string]bool{}
	for name := range want.models.Environments {
		there[name] = r.mine(name) && r.site(name) != nil
	}
	for key := range want.models.Broken {
		there[key.Environment] = r.mine(key.Environment) && r.site(key.Environment) != nil
	}
	maps.DeleteFunc(there, func(_ string, ok bool) bool { return !ok })
	return slices.AppendSeq([]string{}, maps.Keys(there))
}

// standing is how one release with a ModelRelease stands.
func (s *state) standing(want *desired) metrics.Release {
	out := metrics.Release{Environment: s.key.Environment, Name: s.key.Name, Phase: s.stands.Load(), GPUs: int(s.gpus.Load())}
	if seen := s.seen.Load(); seen != nil {
		out.Version = seen.version
	}
	if at := want.of(s.key.Environment); at != nil {
		if release := at.models.Release(s.key); release != nil {
			out.Accelerator = release.Serving.Accelerator
		}
	}
	return out
}

// absent yields the releases that the cluster does not have yet, and those with a fault.
func (d *desired) absent(there map[registry.Key]bool, mine func(string) bool, yield func(metrics.Release)) {
	for key := range d.keys {
		if !there[key] {
			yield(metrics.Release{Environment: key.Environment, Name: key.Name, Phase: string(phasePending)})
		}
	}
	for key := range d.models.Broken {
		if !there[key] && mine(key.Environment) {
			yield(metrics.Release{Environment: key.Environment, Name: key.Name, Phase: string(phaseBroken)})
		}
	}
}

// underWork is what waits, and which runs are under way.
func (r *Reconciler) underWork() metrics.Standing {
	st := metrics.Standing{Runs: map[string]int{}, RunsGPUs: map[string]int{}}
	for _, s := range r.sites {
		st.Queued += s.order.Len()
		st.Oldest = max(st.Oldest, s.order.age())
	}
	r.trainings.mu.Lock()
	for key := range r.trainings.specs {
		st.Runs[key.environment]++
	}
	r.trainings.mu.Unlock()
	r.quotas.mu.Lock()
	for key, run := range r.quotas.runs {
		st.RunsGPUs[key.environment] += run.gpus
	}
	r.quotas.mu.Unlock()
	return st
}
