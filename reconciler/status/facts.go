package status

import (
	"context"
	"sync"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/history"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
)

// Facts tells of each release of after what gates ask and its files do not say, as far as a clone knows it: what before
// has stands for what is served, and outcomes in Git for what is healthy. Where none of a release are here, or they can't
// be read, nobody can tell; they are read once, when a gate first asks. A nil before has nothing.
func Facts(ctx context.Context, source *gitops.Source, before, after *registry.Registry) func(r *registry.Release) gate.Facts {
	events := sync.OnceValue(func() map[string][]gitops.Noted {
		byRelease := map[string][]gitops.Noted{}
		if all, err := source.Events(ctx, nil); err == nil {
			for _, e := range all {
				byRelease[e.Release] = append(byRelease[e.Release], e)
			}
		}
		return byRelease
	})
	return func(r *registry.Release) gate.Facts {
		f := gate.Facts{Now: time.Now()}
		if before != nil {
			if was := before.Release(r.Key()); was != nil {
				f.Serving = was.ModelVersion
			}
		}
		f.HealthyIn = func(environment string) (since time.Time, known bool) {
			key := registry.Key{Environment: environment, Name: r.Name}
			if there := after.Release(key); there != nil && there.Model.Name != r.Model.Name {
				return time.Time{}, true
			}
			return history.HealthySince(events()[key.String()], r.ModelVersion.Name)
		}
		return f
	}
}
