package reconciler

import (
	"testing"
	"time"

	"github.com/davit-dev/davit/registry"
)

// TestStuck: a site is stuck where a release waits for a worker and none moves, unless all of them are at images.
func TestStuck(t *testing.T) {
	const hours = 3 * time.Hour
	long := time.Now().Add(-hours)
	of := func(since, beat time.Time, building int) time.Duration {
		s := newSite(nil)
		defer s.queue.ShutDown()
		if !since.IsZero() {
			s.order.items = []queued{{key: registry.Key{Environment: "production", Name: "iris"}, at: since}}
		}
		s.pulse.beat = beat
		for range building {
			s.pulse.builds()
		}
		return s.stuck(2)
	}
	for what, c := range map[string]struct {
		queued, beat time.Time
		building     int
		want         bool
	}{
		"nothing waits":              {beat: long},
		"it came just now":           {queued: time.Now(), beat: long},
		"somebody moved just now":    {queued: long, beat: time.Now()},
		"all workers at images":      {queued: long, beat: long, building: 2},
		"nobody moves":               {queued: long, beat: long, want: true},
		"one hangs, one at an image": {queued: long, beat: long, building: 1, want: true},
	} {
		if got := of(c.queued, c.beat, c.building); (got >= hours) != c.want || !c.want && got > time.Minute {
			t.Errorf("%s: stuck for %s", what, got)
		}
	}
}

// TestBuildEnds: a worker that comes back from hours at an image has moved.
func TestBuildEnds(t *testing.T) {
	s := newSite(nil)
	defer s.queue.ShutDown()
	s.order.items = []queued{{at: time.Now().Add(-time.Hour)}}
	done := s.pulse.builds()
	s.pulse.beat = time.Now().Add(-time.Hour)
	if got := s.stuck(1); got != 0 {
		t.Errorf("at an image: stuck for %s", got)
	}
	done()
	if got := s.stuck(1); got > time.Minute {
		t.Errorf("back: stuck for %s", got)
	}
}
