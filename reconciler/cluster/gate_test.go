package cluster

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestWritersBackOffAndComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(8)
		limit := func(what string, want int) {
			t.Helper()
			if got := g.open(); got != want {
				t.Errorf("%s: %d writers, want %d", what, got, want)
			}
		}
		for range 5 { // one burst is one reason
			g.refused()
		}
		limit("after a burst", 4)
		time.Sleep(calm)
		synctest.Wait()
		limit("a calm later", 5)
		g.refused()
		limit("the next", 2)
		time.Sleep(calm / 2)
		g.refused()
		limit("soon after", 2)
		for range 2 {
			if err := g.enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := g.enter(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled writer came in: %v", err)
		}
		entered := make(chan struct{})
		go func() {
			if g.enter(t.Context()) == nil {
				close(entered)
			}
		}()
		synctest.Wait()
		select {
		case <-entered:
			t.Error("more writers than the limit")
		default:
		}
		time.Sleep(10 * calm)
		<-entered
		limit("in the end", 8)
	})
}
