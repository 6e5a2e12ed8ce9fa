package plan

import (
	"fmt"
	"io/fs"
	"slices"

	"github.com/davit-dev/davit/registry"
)

// run is one that a training has: its only one, or a sweep's trial.
type run struct {
	training *registry.Training
	hash     string
}

type runs []run

func runsOf(t *registry.Training, fsys fs.FS) (all runs, err error) {
	for _, trial := range t.Trials() {
		hash, err := trial.RunHash(fsys)
		if err != nil {
			return nil, err
		}
		all = append(all, run{trial, hash})
	}
	return all, nil
}

func (all runs) has(r run) bool {
	return slices.ContainsFunc(all, func(other run) bool { return other.hash == r.hash })
}

// atOnce is how many of n runs a sweep lets be under way together.
func atOnce(s *registry.Sweep, n int) int {
	if s.Parallel == 0 {
		return n
	}
	return min(s.Parallel, n)
}

// sweeps is how many runs start of a sweep, and what they take together.
func (t Training) sweeps() string {
	if t.Runs == 1 {
		return "1 run of a sweep: " + t.takes()
	}
	text := fmt.Sprintf("%d runs of a sweep, %d at once, each %s", t.Runs, t.AtOnce, t.takes())
	if t.AtOnce > 1 && t.Accelerators > 0 {
		text += fmt.Sprintf("; %d GPUs at once", t.AtOnce*t.Accelerators)
	}
	return text
}
