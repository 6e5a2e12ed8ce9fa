package history

import (
	"context"
	"path"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// Metrics are those of the versions before and after a change, as they were told then; nil where there is no version or
// none were told.
func (h *History) Metrics(ctx context.Context, c Change) (from, to map[string]float64, err error) {
	if from, err = h.metrics(ctx, c.from, c.FromModel, c.From); err != nil {
		return nil, nil, err
	}
	to, err = h.metrics(ctx, c.Commit, c.ToModel, c.To)
	return from, to, err
}

func (h *History) metrics(ctx context.Context, commit, model, version string) (map[string]float64, error) {
	if version == "" {
		return nil, nil
	}
	snapshot, err := h.source.Snapshot(ctx, gitops.ParseHash(commit))
	if err != nil {
		return nil, err
	}
	v, err := registry.LoadVersion(snapshot, path.Join(model, "versions", version+".yaml"))
	if err != nil { // it is gone, or one that a newer davit finds a fault in
		return nil, ctx.Err()
	}
	return v.Spec.Metrics, nil
}
