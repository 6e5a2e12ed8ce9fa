package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/davit-dev/davit/examples/scale/controller"
	"github.com/davit-dev/davit/examples/scale/generate"
	"github.com/davit-dev/davit/examples/scale/results"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
)

// promotions are one-line commits, one after the other, each when the one before is healthy.
func (m *measure) promotions(ctx context.Context) error {
	fresh, err := m.promoteOneByOne(ctx, m.freshModels())
	if err != nil {
		return err
	}
	if err := m.buildImages(ctx); err != nil {
		return err
	}
	before, err := m.davit.usage("")
	if err != nil {
		return err
	}
	long := 50
	if m.n >= 10000 {
		long = 30
	}
	all, err := m.promoteOneByOne(ctx, m.repo.pick(m.bench.pickCount(long, 10)))
	if err != nil {
		return err
	}
	after, err := m.davit.usage("")
	if err != nil {
		return err
	}
	m.tellPromotions(all, before, after)
	m.add("the same with an image to build", "", nil, nil, "p50 %s, slowest %s of %d",
		milliseconds(results.Percentile(fresh, 50)), milliseconds(results.Percentile(fresh, 100)), len(fresh))
	return nil
}

func (m *measure) tellPromotions(all []time.Duration, before, after *controller.Usage) {
	p50, p99 := results.Percentile(all, 50), results.Percentile(all, 99)
	target := map[int]time.Duration{100: 100 * time.Millisecond, 1000: 150 * time.Millisecond, 10000: 300 * time.Millisecond}[m.n]
	text, held := "", (*bool)(nil)
	if target > 0 {
		text, held = "< "+milliseconds(target), results.Held(p50 < target)
	}
	delta := minus(after.Requests, before.Requests)
	values := map[string]float64{"p50ms": results.Milliseconds(p50), "p99ms": results.Milliseconds(p99), "n": float64(len(all))}
	for what, n := range delta {
		values["requests: "+what] = float64(n)
	}
	n := float64(len(all))
	m.add("one-line promotion, commit to last object applied", text, held, values, "p50 %s, p99 %s of %d", milliseconds(p50), milliseconds(p99), len(all))
	m.add("one-line promotion to Healthy: writes, reads, CPU of the controller, each", "", nil, nil, "%.1f, %.1f, %.0f ms",
		float64(controller.Writes(delta))/n, float64(controller.Reads(delta))/n, results.Milliseconds(after.CPU-before.CPU)/n)
	m.bench.results.Promotions = append(m.bench.results.Promotions,
		results.Latency{Releases: m.n, P50: results.Milliseconds(p50), P99: results.Milliseconds(p99)})
}

// promoteOneByOne returns the time of each from the commit to its last object.
func (m *measure) promoteOneByOne(ctx context.Context, releases []generate.Release) (all []time.Duration, err error) {
	for _, r := range releases {
		c, err := m.repo.commit(ctx, m.repo.promote(r))
		if err != nil {
			return nil, err
		}
		if err := m.healthy(ctx, c, r); err != nil {
			return nil, err
		}
		all = append(all, m.davit.at(r.Name, c.hash).applied.Sub(c.at))
	}
	return all, nil
}

// healthy waits until releases are healthy at a commit.
func (m *measure) healthy(ctx context.Context, c commit, releases ...generate.Release) error {
	what := fmt.Sprintf("%d releases to be healthy at %.12s", len(releases), c.hash)
	return m.davit.await(ctx, what, 2*time.Minute+time.Duration(len(releases))*time.Second, func() bool {
		for _, r := range releases {
			if m.davit.at(r.Name, c.hash).healthy.IsZero() {
				return false
			}
		}
		return true
	})
}

// latencies are the times from a commit to the last object of each release.
func (m *measure) latencies(c commit, releases []generate.Release) (all []time.Duration) {
	for _, r := range releases {
		all = append(all, m.davit.at(r.Name, c.hash).applied.Sub(c.at))
	}
	return all
}

// freshModels are releases of models whose second version nobody has asked for yet: a release of each team, of
// half the teams at most.
func (m *measure) freshModels() (picked []generate.Release) {
	seen := map[string]bool{}
	for _, r := range m.repo.releases {
		if !seen[r.Model] && len(picked) < max(1, min(10, generate.Models(m.repo.options)/2)) {
			seen[r.Model] = true
			picked = append(picked, r)
		}
	}
	return picked
}

// buildImages builds what no release has asked for yet, as davit build does.
func (m *measure) buildImages(ctx context.Context) error {
	fsys := os.DirFS(m.repo.dir)
	models, err := registry.Load(fsys)
	if err != nil {
		return err
	}
	builder, err := image.New(image.Config{})
	if err != nil {
		return err
	}
	for name, model := range models.Models {
		for _, version := range model.Versions {
			if _, err := builder.Ensure(ctx, fsys, models.Spec.Images+"/"+name, version, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

func minus(after, before map[string]int) map[string]int {
	delta := map[string]int{}
	for what, n := range after {
		if n != before[what] {
			delta[what] = n - before[what]
		}
	}
	return delta
}
