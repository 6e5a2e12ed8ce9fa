package reconciler

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/davit-dev/davit/reconciler/metrics"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// TestQueueOrder wants first in, first out, a release that is queued twice handed out once, and the age of the one that is
// next.
func TestQueueOrder(t *testing.T) {
	queue, order := newQueue()
	defer queue.ShutDown()
	if order.age() != 0 || order.Len() != 0 {
		t.Errorf("empty: %d wait, the first for %s", order.Len(), order.age())
	}
	a, b := registry.Key{Name: "a"}, registry.Key{Name: "b"}
	queue.Add(a)
	queue.Add(b)
	queue.Add(a)
	if order.Len() != 2 {
		t.Errorf("%d wait", order.Len())
	}
	for deadline := time.Now().Add(10 * time.Second); order.age() < 20*time.Millisecond; {
		if time.Now().After(deadline) {
			t.Fatal("the first does not grow older")
		}
	}
	if key, _ := queue.Get(); key != a {
		t.Errorf("%s comes first", key)
	}
	if key, _ := queue.Get(); key != b || order.Len() != 0 {
		t.Errorf("then %s, and %d wait", key, order.Len())
	}
}

// BenchmarkStage is what a stage costs that is not traced.
func BenchmarkStage(b *testing.B) {
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		_, traced := stage(ctx, "image")
		traced(nil)
	}
}

// BenchmarkStanding reads how ten thousand releases stand, as a scrape does.
func BenchmarkStanding(b *testing.B) {
	r := &Reconciler{states: map[registry.Key]*state{}, trainings: newTrainings()}
	for i := range 10_000 {
		s := &state{key: registry.Key{Environment: fmt.Sprint("e", i%4), Name: fmt.Sprint("r", i)}}
		s.shown.Store(&shown{})
		s.inCluster.Store(true)
		s.stands.Store(string(v1alpha1.Healthy))
		r.states[s.key] = s
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		r.standing(func(metrics.Release) { n++ })
		if n != 10_000 {
			b.Fatal(n)
		}
	}
}
