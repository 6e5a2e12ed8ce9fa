package main

import (
	"fmt"
	"io"
	"time"

	"github.com/davit-dev/davit/registry"
)

const untilSchedule = "Waiting"

// scheduledRow is a training that waits for its schedule: there is no run before its datasets are locked.
func scheduledRow(t *registry.Training, now time.Time) trainingRun {
	return trainingRun{
		Training: t.Key(), Environment: t.Environment.Name, State: untilSchedule, Message: unlocked(t), Next: t.Spec.Schedule.Next(now),
		GPUs: t.Spec.GPUs * t.Nodes(), Nodes: t.Nodes(),
	}
}

// unlocked says why a scheduled training waits.
func unlocked(t *registry.Training) string {
	if t.Lock == nil {
		return t.LockPath() + " is not there yet; davit commits it at the schedule's next time"
	}
	return t.LockPath() + " does not fit the training's datasets any more; davit commits another one at the schedule's next time"
}

// tellUnlocked says that what is shown of a scheduled training is not what will run.
func tellUnlocked(w io.Writer, t *registry.Training) {
	if t.Waits() {
		fmt.Fprintf(w, "davit: %s waits for its schedule, and its datasets stand here as its spec has them: %s\n", t.Key(), unlocked(t))
	}
}
