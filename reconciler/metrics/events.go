package metrics

import "time"

// Applied is told how long after its commit was seen a release's objects were applied; Healthy how long after that
// it was healthy.
func (r *Recorder) Applied(environment string, took time.Duration) {
	r.count(environment, func() { r.m.toApplied.WithLabelValues(r.registry, environment).Observe(took.Seconds()) })
}

// Healthy is told how long after its commit was seen a release was healthy.
func (r *Recorder) Healthy(environment string, took time.Duration) {
	r.count(environment, func() { r.m.toHealthy.WithLabelValues(r.registry, environment).Observe(took.Seconds()) })
}

// Outcome is told what came of a revision.
func (r *Recorder) Outcome(environment, outcome string) {
	r.count(environment, func() {
		r.m.outcomes.WithLabelValues(r.registry, environment, outcome).Inc()
		switch outcome {
		case "RolledBack":
			r.m.rollbacks.WithLabelValues(r.registry, environment, "davit").Inc()
		case "Pinned":
			r.m.rollbacks.WithLabelValues(r.registry, environment, "person").Inc()
		}
	})
}

// DriftFound is told that somebody else changed a release, DriftCorrected that it was undone, DriftFight that they
// changed it again and again.
func (r *Recorder) DriftFound(environment string) {
	r.count(environment, func() { r.m.driftFound.WithLabelValues(r.registry, environment).Inc() })
}

// DriftCorrected is told that a change of somebody else's was undone.
func (r *Recorder) DriftCorrected(environment string) {
	r.count(environment, func() { r.m.driftCorrected.WithLabelValues(r.registry, environment).Inc() })
}

// DriftFight is told that somebody undoes the corrections of a release.
func (r *Recorder) DriftFight(environment string) {
	r.count(environment, func() { r.m.driftFights.WithLabelValues(r.registry, environment).Inc() })
}

// Promotion is told of one by rule that was proposed, merged or declined.
func (r *Recorder) Promotion(environment, result string) {
	r.count(environment, func() { r.m.promotions.WithLabelValues(r.registry, environment, result).Inc() })
}

// Image is a model image that was asked for.
type Image struct {
	Environment    string
	Built          bool // else it was there
	Err            error
	Took           time.Duration
	Read, Uploaded int64 // bytes
}

// Image is told of a model image.
func (r *Recorder) Image(i Image) {
	r.count(i.Environment, func() {
		result := "found"
		switch {
		case i.Err != nil:
			result = "failed"
		case i.Built:
			result = "built"
			r.m.imageSeconds.WithLabelValues(r.registry, i.Environment).Observe(i.Took.Seconds())
		}
		r.m.images.WithLabelValues(r.registry, i.Environment, result).Inc()
		r.m.imageRead.WithLabelValues(r.registry, i.Environment).Add(float64(i.Read))
		r.m.imageUploaded.WithLabelValues(r.registry, i.Environment).Add(float64(i.Uploaded))
	})
}

// Run is told that a training run came to a state; took is since its start, and zero where it has not ended.
func (r *Recorder) Run(environment, state string, took time.Duration) {
	r.count(environment, func() {
		r.m.runs.WithLabelValues(r.registry, environment, state).Inc()
		if took > 0 {
			r.m.runSeconds.WithLabelValues(r.registry, environment, state).Observe(took.Seconds())
		}
	})
}
