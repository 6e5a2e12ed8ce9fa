package reconciler

import (
	"testing"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestEventAfterTheEnd: the errands that are finished last may tell of a proposal when nobody writes Events any more.
func TestEventAfterTheEnd(t *testing.T) {
	s := newSite(nil)
	s.event(&v1alpha1.ModelRelease{}, "Normal", "Proposed", "before")
	s.endEvents()
	s.event(&v1alpha1.ModelRelease{}, "Normal", "Proposed", "after")
	if n := len(s.events); n != 1 {
		t.Errorf("%d Events wait", n)
	}
}
