package capacity

import (
	"cmp"
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
)

// Row is one accelerator: what releases ask for, and what the cluster has on the nodes they name.
type Row struct {
	Accelerator
	AskedNow   int64 `json:"askedNow"`
	AskedAfter int64 `json:"askedAfter"`
	// Rolling is what is asked for at most while the change rolls out: old pods run beside new ones.
	Rolling int64 `json:"rolling"`
	Has     int64 `json:"has"`
	// Free is what nobody holds now, on nodes that would take the pods.
	Free int64 `json:"free"`
}

// Table counts the accelerators that releases ask for, before a change and after it.
func Table(ctx context.Context, s *State, before, after []Release) ([]Row, error) {
	rows := map[Accelerator]*Row{}
	asks := map[Accelerator]ask{}
	asking := map[Accelerator][]*Pods{}
	add := func(releases []Release, count func(*Row, int64, *Pods, bool)) {
		for _, r := range releases {
			for i := range r.Pods {
				p := &r.Pods[i]
				for _, a := range p.asks() {
					if rows[a.Accelerator] == nil {
						rows[a.Accelerator] = &Row{Accelerator: a.Accelerator}
					}
					count(rows[a.Accelerator], a.n, p, r.Rolls)
					asks[a.Accelerator] = a
					// The name has what they want of nodes; what they tolerate may differ.
					if !slices.ContainsFunc(asking[a.Accelerator], p.toleratesTheSame) {
						asking[a.Accelerator] = append(asking[a.Accelerator], p)
					}
				}
			}
		}
	}
	whole := map[string]bool{}
	for _, r := range after {
		whole[r.Name] = r.Whole
	}
	add(before, func(r *Row, n int64, p *Pods, _ bool) { r.AskedNow += n * int64(p.Count) })
	add(slices.DeleteFunc(slices.Clone(before), func(r Release) bool { return !whole[r.Name] }), func(r *Row, n int64, p *Pods, _ bool) { r.Rolling += n * int64(p.Count) })
	add(after, func(r *Row, n int64, p *Pods, rolls bool) {
		r.AskedAfter += n * int64(p.Count)
		r.Rolling += n * int64(p.Count)
		if rolls {
			r.Rolling += n * int64(p.Surge())
		}
	})
	out := make([]Row, 0, len(rows))
	now := newRoom(s)
	for key, row := range rows {
		var err error
		if row.Has, row.Free, err = now.count(ctx, asks[key], asking[key]); err != nil && ctx.Err() != nil {
			return nil, err
		} // what else is wrong with a claim, its pods wait for, and Fit tells
		out = append(out, *row)
	}
	slices.SortFunc(out, func(a, b Row) int { return cmp.Compare(a.String(), b.String()) })
	return out, nil
}

func (p *Pods) toleratesTheSame(o *Pods) bool {
	return equality.Semantic.DeepEqual(p.template.Spec.Tolerations, o.template.Spec.Tolerations)
}
