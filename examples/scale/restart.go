package main

import (
	"context"
	"errors"
	"time"

	"github.com/davit-dev/davit/examples/scale/controller"
	"github.com/davit-dev/davit/examples/scale/results"
)

// restart ends the controller and starts it again where everything is in sync: once to see when it has nothing
// left to do, once to see that it stays so.
func (m *measure) restart(ctx context.Context) error {
	u, err := m.davit.usage("")
	if err != nil {
		return err
	}
	m.memory("after all of the above", u)
	if err := m.stop(); err != nil {
		return err
	}
	if err := m.start(true); err != nil {
		return err
	}
	var ready controller.Line
	select {
	case ready = <-m.davit.settled:
	case <-m.davit.ended:
		return errors.Join(errors.New("the controller ended"), m.davit.err)
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(5 * time.Minute):
		return errors.New("the controller is not ready after 5 minutes")
	}
	took, writes := ready.At.Sub(m.davit.started), controller.Writes(ready.Usage.Requests)
	if err := m.stop(); err != nil {
		return err
	}
	text, held := "", (*bool)(nil)
	if m.n >= 10000 {
		text, held = "< 10 s, 0 writes", results.Held(took < 10*time.Second && writes == 0)
	}
	values := map[string]float64{"seconds": took.Seconds(), "cpuSeconds": ready.Usage.CPU.Seconds()}
	for what, n := range ready.Usage.Requests {
		values["requests: "+what] = float64(n)
	}
	m.add("restart with everything in sync, to ready: time, writes, reads, CPU", text, held, values, "%s, %d, %d, %s",
		seconds(took), writes, controller.Reads(ready.Usage.Requests), seconds(ready.Usage.CPU))
	return m.stays(ctx)
}

// stays follows for ten seconds.
func (m *measure) stays(ctx context.Context) error {
	if err := m.start(false); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(10*time.Second + time.Duration(m.n)*time.Millisecond):
	}
	u, err := m.davit.usage("")
	if err != nil {
		return err
	}
	writes := controller.Writes(u.Requests)
	m.add("writes while following after a restart", "0", results.Held(writes == 0), nil, "%d", writes)
	m.memory("after a restart", u)
	return m.stop()
}
