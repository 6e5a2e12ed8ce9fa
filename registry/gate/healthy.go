package gate

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/davit-dev/davit/registry"
)

// healthyIn asks how long the version has been healthy elsewhere.
func healthyIn(r *registry.Release, gates registry.Gates, facts Facts) (findings []Finding) {
	for _, env := range slices.Sorted(maps.Keys(gates.HealthyIn)) {
		want := time.Duration(gates.HealthyIn[env])
		f := Finding{Gate: "healthyIn/" + env, State: Unknown,
			Message: fmt.Sprintf("%s must be healthy in %s for %s; it is checked before anything is applied", r.ModelVersion, env, want)}
		var since time.Time
		known := false
		if facts.HealthyIn != nil && !facts.Now.IsZero() {
			since, known = facts.HealthyIn(env)
		}
		switch until := since.Add(want); {
		case !known:
		case since.IsZero():
			f.State, f.Message = Failed, fmt.Sprintf("%s is not healthy in %s; promote it there first, where it must be healthy for %s", r.ModelVersion, env, want)
		case facts.Now.Before(until):
			f.State, f.Until = Waiting, until
			f.Message = fmt.Sprintf("%s has been healthy in %s for %s of %s; wait until %s", r.ModelVersion, env,
				facts.Now.Sub(since).Truncate(time.Second), want, until.UTC().Format(time.RFC3339))
		default:
			f.State, f.Message = Passed, fmt.Sprintf("healthy in %s since %s", env, since.UTC().Format(time.RFC3339))
		}
		findings = append(findings, f)
	}
	return findings
}
