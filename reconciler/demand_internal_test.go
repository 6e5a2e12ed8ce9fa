package reconciler

import (
	"testing"

	"github.com/davit-dev/davit/registry"
)

// TestAsksForMore: what a revision begins with is compared; a higher maximum of autoscale is no fault of its pods.
func TestAsksForMore(t *testing.T) {
	scaled := func(gpus, min, max int) *registry.Release {
		return &registry.Release{Serving: registry.ServingSpec{GPUs: gpus, Autoscale: &registry.Autoscale{Min: min, Max: max}}}
	}
	for name, c := range map[string]struct {
		now, was *registry.Release
		more     bool
	}{
		"a higher maximum":     {scaled(1, 1, 8), scaled(1, 1, 2), false},
		"a higher minimum":     {scaled(1, 2, 8), scaled(1, 1, 8), true},
		"more for each":        {scaled(2, 1, 2), scaled(1, 2, 2), true},
		"of the base's number": {scaled(1, 1, 4), &registry.Release{Serving: registry.ServingSpec{GPUs: 1}}, false},
	} {
		if got := asksForMore(c.now, c.was); got != c.more {
			t.Errorf("%s: %v", name, got)
		}
	}
}
