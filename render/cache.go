package render

import "sync"

// cache keeps the last things made, by what they were made from, in two generations: what was not asked for
// during one goes with the next. The zero value is ready; it may be used concurrently.
type cache[K comparable, V any] struct {
	mu         sync.Mutex
	young, old map[K]V
}

func (c *cache[K, V]) get(key K) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v, ok = c.young[key]; ok {
		return v, true
	}
	if v, ok = c.old[key]; ok && c.young != nil {
		c.young[key] = v
	}
	return v, ok
}

// put keeps v. A generation ends at limit things.
func (c *cache[K, V]) put(key K, v V, limit int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young == nil || len(c.young) >= limit {
		c.old, c.young = c.young, map[K]V{}
	}
	c.young[key] = v
}
