package reconciler

import (
	"testing"

	"github.com/davit-dev/davit/registry"
)

// TestRollout counts failures: fewer than stopAfterFailed hold up nobody, and that many stop what has not begun.
func TestRollout(t *testing.T) {
	var order []registry.Key
	rank := map[registry.Key]int{}
	for i, name := range []string{"a", "b", "c", "d"} {
		order = append(order, registry.Key{Environment: "production", Name: name})
		rank[order[i]] = i
	}
	w := &rollout{order: order, rank: rank, sizes: []int{1, 3, 4}, limit: 2, done: map[registry.Key]bool{}, failed: map[registry.Key]bool{}}
	turn := func(when string, want int) {
		t.Helper()
		n := 0
		for _, key := range order {
			if w.open(key) {
				n++
			}
		}
		if n != want {
			t.Errorf("%s %d releases have their turn, want %d", when, n, want)
		}
	}
	turn("at first", 1)
	if next, _, stopped := w.settle(order[0], false); len(next) != 2 || stopped {
		t.Errorf("after the first of two failures: next %v, stopped %v", next, stopped)
	}
	turn("after one failure", 3)
	if next, _, stopped := w.settle(order[1], false); len(next) != 0 || !stopped {
		t.Errorf("after the second failure: next %v, stopped %v", next, stopped)
	}
	if _, _, stopped := w.settle(order[1], false); stopped {
		t.Error("the same failure stops it again")
	}
	turn("after it was stopped", 2) // those that failed may go back
	w.settle(order[1], true)
	if next, _, _ := w.settle(order[2], true); len(next) != 1 || next[0] != order[3] {
		t.Errorf("after the second wave: next %v", next)
	}
	turn("in the last wave", 4)
}
