package reconciler

import (
	"testing"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// TestNotedIsWhatServed: a note that something newer is kept back, or was passed over, leaves what serves as it was: it must
// not stand in front of the last outcome.
func TestNotedIsWhatServed(t *testing.T) {
	key := registry.Key{Environment: "staging", Name: "iris"}
	n := noted{of: map[registry.Key]map[notedOutcome]bool{}, words: map[string]string{}}
	for i, what := range []v1alpha1.Phase{v1alpha1.Healthy, v1alpha1.Waiting, v1alpha1.Superseded} {
		n.keep(gitops.Noted{Event: gitops.Event{
			At: time.Unix(int64(i), 0), Release: key.String(), Outcome: string(what), Version: "v2", Image: "registry.example.com/models/iris@sha256:0",
		}})
	}
	if len(n.of[key]) != 1 {
		t.Errorf("kept %v", n.of[key])
	}
	for o := range n.of[key] {
		if o.what != v1alpha1.Healthy || o.model != "iris" {
			t.Errorf("kept %+v", o)
		}
	}
}
