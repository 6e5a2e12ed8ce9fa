package reconciler

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/metrics"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry/image"
)

// logged writes a change of a release's phase as one line, for a Config without Report.
func (cfg *Config) logged(p Report) {
	level := slog.LevelInfo
	switch p.Phase {
	case v1alpha1.Failed, v1alpha1.RolledBack, v1alpha1.Held:
		level = slog.LevelWarn
	}
	facts := []slog.Attr{
		slog.String("release", p.Key.String()), slog.String("phase", string(p.Phase)), slog.String("version", p.Version),
		slog.String("commit", p.Commit), slog.String("after", p.Took.Round(time.Millisecond).String()),
	}
	for _, more := range [][2]string{{"reason", p.Reason}, {"message", p.Plain}, {"image", p.Image}} {
		if more[1] != "" {
			facts = append(facts, slog.String(more[0], more[1]))
		}
	}
	cfg.Log.LogAttrs(context.Background(), level, "release changed", facts...)
}

// followed tells how following a tip went.
func (r *Reconciler) followed(ctx context.Context, tip gitops.Hash, err error) {
	if r.cfg.Metrics != nil {
		c, _ := r.cfg.Source.Commit(ctx, tip)
		r.cfg.Metrics.Followed(c.Committer.When, err)
		for _, name := range r.present(r.desired.Load()) {
			r.cfg.Metrics.Environment(name)
		}
	}
	why := ""
	if err != nil {
		why = gitops.RedactText(err.Error())
	}
	r.behind.Store(&why)
	r.cfg.Followed(tip, err)
}

// ensured tells the metrics what a model image took.
func (r *Reconciler) ensured(environment string, began time.Time, result image.Result, err error) {
	if errors.Is(err, errSuperseded) {
		return
	}
	r.cfg.Metrics.Image(metrics.Image{
		Environment: environment, Built: result.Built, Err: err, Took: time.Since(began), Read: result.BytesRead, Uploaded: result.BytesUploaded,
	})
}

// ran tells the metrics that a run came to a state.
func (r *Reconciler) ran(run gitops.Run) {
	var took time.Duration
	if run.State.Ended() && !run.Started.IsZero() && run.Ended.After(run.Started) {
		took = run.Ended.Sub(run.Started)
	}
	r.cfg.Metrics.Run(run.Environment, string(run.State), took)
}

// heldUp says that policy, or the waves of a shared change, keep a release back.
func heldUp(err error) bool {
	return errors.Is(err, errNotItsTurn) || errors.As(err, new(*backError))
}
