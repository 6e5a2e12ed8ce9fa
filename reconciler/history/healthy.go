package history

import (
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// HealthySince tells from the outcomes of one release, in order of time, since when it has been healthy at a version
// without interruption: a zero time when it is not. A change of other inputs that rolled out well is none; a revision that
// failed on the cluster is, whatever its version. Without outcomes nothing is known.
func HealthySince(events []gitops.Noted, version string) (since time.Time, known bool) {
	for _, e := range events {
		applied := !e.Applied.IsZero()
		switch e.Outcome {
		case string(v1alpha1.Healthy):
			if e.Version != version {
				since = time.Time{}
			} else if since.IsZero() {
				since = e.At
			}
		case string(v1alpha1.Failed):
			if applied {
				since = time.Time{}
			}
		case string(v1alpha1.Superseded):
			if applied && e.Version != version {
				since = time.Time{}
			}
		case string(v1alpha1.RolledBack), pinned:
			switch {
			case e.Serves != version:
				since = time.Time{}
			case since.IsZero() || applied && e.Outcome != pinned:
				since = e.At
			}
		case removed:
			since = time.Time{}
		}
	}
	return since, len(events) > 0
}
