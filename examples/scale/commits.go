package main

import (
	"context"
	"fmt"
	"path"
	"time"

	"github.com/davit-dev/davit/examples/scale/controller"
	"github.com/davit-dev/davit/examples/scale/generate"
	"github.com/davit-dev/davit/examples/scale/results"
)

// hundred promotes a hundred releases in one commit.
func (m *measure) hundred(ctx context.Context) error {
	before, err := m.davit.usage("")
	if err != nil {
		return err
	}
	releases := m.repo.pick(100)
	c, err := m.repo.commit(ctx, m.repo.promoteAll(releases)...)
	if err != nil {
		return err
	}
	if err := m.healthy(ctx, c, releases...); err != nil {
		return err
	}
	after, err := m.davit.usage("")
	if err != nil {
		return err
	}
	all := m.latencies(c, releases)
	p50, last := results.Percentile(all, 50), results.Percentile(all, 100)
	writes := controller.Writes(minus(after.Requests, before.Requests))
	m.add(fmt.Sprintf("%d promotions in one commit: half / all of them applied; writes and CPU of the controller to Healthy", len(all)), "", nil,
		map[string]float64{"p50ms": results.Milliseconds(p50), "lastms": results.Milliseconds(last), "cpuSeconds": (after.CPU - before.CPU).Seconds()},
		"%s / %s; %d, %s", milliseconds(p50), milliseconds(last), writes, seconds(after.CPU-before.CPU))
	return nil
}

// window is how long the controller is watched after a commit that asks for nothing.
const window = 3 * time.Second

// nothing commits a file that no release is made of.
func (m *measure) nothing(ctx context.Context) error {
	before, err := m.davit.usage("")
	if err != nil {
		return err
	}
	idle, err := m.later(ctx)
	if err != nil {
		return err
	}
	c, err := m.repo.commit(ctx, change{"README.md", fmt.Sprintf("Models of %d releases.\n", m.n)})
	if err != nil {
		return err
	}
	err = m.davit.await(ctx, "the commit to be followed", time.Minute, func() bool { return !m.davit.followedAt(c.hash).IsZero() })
	if err != nil {
		return err
	}
	after, err := m.later(ctx)
	if err != nil {
		return err
	}
	rest, used := idle.CPU-before.CPU, after.CPU-idle.CPU
	writes := controller.Writes(minus(after.Requests, idle.Requests))
	text, held := "", (*bool)(nil)
	if m.n >= 10000 {
		text, held = "0 writes, < 50 ms CPU", results.Held(writes == 0 && used-rest < 50*time.Millisecond)
	}
	m.add("a commit that changes a README: writes, CPU of the controller, time until it was followed", text, held,
		map[string]float64{"writes": float64(writes), "cpuMs": results.Milliseconds(used), "idleCpuMs": results.Milliseconds(rest)},
		"%d writes, %.1f ms (%.1f ms in the same time at rest), %s", writes, results.Milliseconds(used), results.Milliseconds(rest),
		milliseconds(m.davit.followedAt(c.hash).Sub(c.at)))
	return nil
}

// later is the controller's usage after the window.
func (m *measure) later(ctx context.Context) (*controller.Usage, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(window):
	}
	return m.davit.usage("")
}

// failing compares a commit of twenty promotions with the same commit beside a release the API server refuses.
func (m *measure) failing(ctx context.Context) error {
	releases := m.repo.pick(21)
	bad, good := releases[0], releases[1:]
	c, err := m.repo.commit(ctx, m.repo.promoteAll(good)...)
	if err != nil {
		return err
	}
	if err := m.healthy(ctx, c, good...); err != nil {
		return err
	}
	alone := m.latencies(c, good)
	if err := m.quiet(ctx, time.Minute); err != nil {
		return err
	}

	component := change{path.Join(path.Dir(bad.File), "kustomization.yaml"), generate.Refused}
	if c, err = m.repo.commit(ctx, append(m.repo.promoteAll(good), component, m.repo.promote(bad))...); err != nil {
		return err
	}
	if err := m.healthy(ctx, c, good...); err != nil {
		return err
	}
	beside := m.latencies(c, good)
	err = m.davit.await(ctx, bad.Name+" to be refused", time.Minute, func() bool {
		at := m.davit.at(bad.Name, c.hash)
		return at.phase != "" && at.phase != "Progressing" && at.message != "" || m.heldBack(bad.Name)
	})
	if err != nil {
		return err
	}
	m.add("20 promotions in a commit, half / all applied: alone; beside a 21st that the API server refuses", "", nil,
		map[string]float64{
			"aloneP50ms": results.Milliseconds(results.Percentile(alone, 50)), "aloneLastms": results.Milliseconds(results.Percentile(alone, 100)),
			"besideP50ms": results.Milliseconds(results.Percentile(beside, 50)), "besideLastms": results.Milliseconds(results.Percentile(beside, 100)),
		}, "%s / %s; %s / %s",
		milliseconds(results.Percentile(alone, 50)), milliseconds(results.Percentile(alone, 100)),
		milliseconds(results.Percentile(beside, 50)), milliseconds(results.Percentile(beside, 100)))

	if c, err = m.repo.commit(ctx, change{file: component.file}, m.repo.promote(bad)); err != nil {
		return err
	}
	return m.healthy(ctx, c, bad)
}

// heldBack says whether a release has gone back to an earlier commit by itself.
func (m *measure) heldBack(release string) bool {
	m.davit.mu.Lock()
	defer m.davit.mu.Unlock()
	s := m.davit.seen[release]
	return s != nil && (s.phase == "RolledBack" || s.phase == "Held" || s.phase == "Failed")
}
