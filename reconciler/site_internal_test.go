package reconciler

import (
	"context"
	"testing"
	"time"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestEventAfterTheEnd: the errands that are finished last may tell of a proposal when nobody writes Events any more.
func TestEventAfterTheEnd(t *testing.T) {
	s := newSite(nil)
	s.event(&v1alpha1.ModelRelease{}, "Normal", "Proposed", "before")
	s.endEvents()
	s.event(&v1alpha1.ModelRelease{}, "Normal", "Proposed", "after")
	if n := len(s.events); n != 1 {
		t.Errorf("%d Events wait", n)
	}
}

// TestEventsAtTheEnd: an API server that says nothing holds up the end for seconds an Event, also for the one under way.
func TestEventsAtTheEnd(t *testing.T) {
	s := &site{events: make(chan func(context.Context), 2)}
	ctx, cancel := context.WithCancel(t.Context())
	begun := make(chan bool, 2)
	for range 2 {
		s.events <- func(ctx context.Context) { begun <- true; <-ctx.Done() }
	}
	done := make(chan bool)
	go func() { s.record(ctx); close(done) }()
	<-begun
	cancel()
	close(s.events)
	select {
	case <-done:
	case <-time.After(eventTime):
		t.Error("the end waits for Events as if davit ran on")
	}
}
