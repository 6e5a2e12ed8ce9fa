package metrics

import "github.com/prometheus/client_golang/prometheus"

// count has something counted of an environment, while none of its series is taken away.
func (r *Recorder) count(environment string, move func()) {
	if r == nil {
		return
	}
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	known := r.m.known[r.registry]
	if known == nil {
		return // Forget came first, and a late one must not undo it
	}
	if _, ok := known[environment]; !ok {
		known[environment] = false // it has series, which did not begin at zero
	}
	move()
}

// keep drops the series of the environments that are not there: one that was taken out of its registry would be told of as
// long as the process lives. What is counted of it later is dropped by the next scrape.
func (r *Recorder) keep(there map[string]bool) {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	if r.m.following[r.registry] != r {
		return // another one has the name by now
	}
	known := r.m.known[r.registry]
	for environment := range known {
		if there[environment] {
			continue
		}
		delete(known, environment)
		for _, vec := range r.m.ofEnvironment {
			vec.DeletePartialMatch(prometheus.Labels{"registry": r.registry, "environment": environment})
		}
	}
}
