package main

import (
	"context"
	"fmt"
	"time"

	"github.com/davit-dev/davit/examples/scale/controller"
	"github.com/davit-dev/davit/examples/scale/generate"
	"github.com/davit-dev/davit/examples/scale/results"
)

// writesPerRelease are those the peers do as well: its objects, and the ModelRelease with its status.
const writesPerRelease = generate.Objects + 2

func (m *measure) firstSync(ctx context.Context) error {
	if err := m.start(false); err != nil {
		return err
	}
	return m.synced(ctx)
}

// synced waits until the controller that was started has all releases healthy.
func (m *measure) synced(ctx context.Context) error {
	tip, err := m.repo.git(ctx, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	limit := 2*time.Minute + time.Duration(m.n)*500*time.Millisecond
	applied, healthy, next := time.Time{}, time.Time{}, time.Now()
	err = m.davit.await(ctx, "all releases to be healthy", limit, func() bool {
		if time.Now().Before(next) { // looking at all of them costs
			return false
		}
		next = time.Now().Add(100 * time.Millisecond)
		done := 0
		for _, r := range m.repo.releases {
			if at := m.davit.at(r.Name, tip); !at.healthy.IsZero() {
				done++
				applied, healthy = later(applied, at.applied), later(healthy, at.healthy)
			}
		}
		return done == m.n
	})
	if err != nil {
		return fmt.Errorf("%w: phases of those reported: %v", err, m.davit.phases())
	}
	u, err := m.davit.usage("")
	if err != nil {
		return err
	}
	m.tellFirstSync(applied.Sub(m.davit.started), healthy.Sub(m.davit.started), u)
	if m.n == peerReleases {
		m.bench.synced = applied.Sub(m.davit.started)
		m.bench.writes, err = m.capture(ctx)
	}
	return err
}

func (m *measure) tellFirstSync(applied, healthy time.Duration, u *controller.Usage) {
	objects := float64(m.n * generate.Objects)
	rate := objects / applied.Seconds()
	requests := controller.Reads(u.Requests) + controller.Writes(u.Requests)
	values := map[string]float64{
		"appliedSeconds": applied.Seconds(), "healthySeconds": healthy.Seconds(), "objectsPerSecond": rate,
		"writesPerSecond": float64(m.n*writesPerRelease) / applied.Seconds(), "cpuSeconds": u.CPU.Seconds(),
	}
	for what, n := range u.Requests {
		values["requests: "+what] = float64(n)
	}
	m.add("first sync, start of the process to last object applied / to all Healthy", "", nil, values,
		"%s / %s; %.0f objects/s", seconds(applied), seconds(healthy), rate)
	m.add("first sync: API requests to all Healthy, for each object; CPU of the controller", "", nil, nil,
		"%.2f (%.2f writes); %.1f s", float64(requests)/objects, float64(controller.Writes(u.Requests))/objects, u.CPU.Seconds())
	m.memory("first sync", u)
}

// memory adds the row of the controller's peak.
func (m *measure) memory(after string, u *controller.Usage) {
	var target string
	var held *bool
	if m.n >= 10000 {
		target, held = "< 300 MiB", results.Held(u.Peak < 300<<20)
	}
	m.add("controller's peak memory (RSS), "+after, target, held, map[string]float64{"bytes": float64(u.Peak), "ofTheProgramFile": float64(u.File)},
		"%s, of it %s pages of the program's file", mebibytes(u.Peak), mebibytes(u.File))
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.0f ms", results.Milliseconds(d)) }

func mebibytes(bytes uint64) string { return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20)) }
