package render

import (
	"errors"
	"testing"

	"github.com/davit-dev/davit/registry"
)

// TestBlame: an error's words may be a file's own, and name layers that there are not.
func TestBlame(t *testing.T) {
	r := &registry.Release{Environment: &registry.Environment{Name: "production"}, Runtime: &registry.Runtime{Dir: "runtimes/server/1.0.0"}}
	for _, text := range []string{"x/layers/component-99': y", "x/layers/component-0': y", "x/layers/component-18446744073709551616': y"} {
		if err := (&overlay{release: r}).blame(errors.New(text)); err == nil {
			t.Errorf("%q is no error", text)
		}
	}
}
