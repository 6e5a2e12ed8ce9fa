package main

import (
	"fmt"
	"io"

	"github.com/davit-dev/davit/reconciler/runs"
	"github.com/davit-dev/davit/registry"
)

// tellUnlocked says that what is shown of a scheduled training is not what will run.
func tellUnlocked(w io.Writer, t *registry.Training) {
	if t.Waits() {
		fmt.Fprintf(w, "davit: %s waits for its schedule, and its datasets stand here as its spec has them: %s\n", t.Key(), runs.Unlocked(t))
	}
}
