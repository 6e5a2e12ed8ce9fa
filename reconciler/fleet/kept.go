package fleet

import "sync"

// kept holds the answers to a number of questions, and forgets them all when there are more: what is asked again is made
// again. What it holds may not be changed. It may be used concurrently.
type kept[T any] struct {
	most int

	mu  sync.Mutex
	all map[string]*T
}

// get is nil for what is not kept.
func (k *kept[T]) get(question string) *T {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.all[question]
}

func (k *kept[T]) put(question string, answer *T) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.all == nil || len(k.all) >= k.most {
		k.all = map[string]*T{}
	}
	k.all[question] = answer
}
