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

// Last is the newest commit up to a tip at which a release was still as a change, which [History.Changes] gave for that tip,
// had made it.
func (h *History) Last(ctx context.Context, tip gitops.Hash, c Change) (gitops.Hash, error) {
	v, err := h.view(ctx, tip)
	if err != nil {
		return gitops.Hash{}, err
	}
	ids := v.ids(map[string]bool{c.Release.String(): true})
	for i := c.position + 1; i < len(v.entries); i++ {
		for _, r := range v.entries[i].records {
			if r.kind == changed && ids[r.release] {
				return v.entries[i-1].commit, nil
			}
		}
	}
	return v.entries[len(v.entries)-1].commit, nil
}
