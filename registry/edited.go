package registry

import "maps"

// edited is a map of an older registry, copied before its first change: what did not change is shared.
type edited[K comparable, V any] struct {
	m       map[K]V
	changed bool
}

func (e *edited[K, V]) own() {
	if !e.changed {
		e.changed = true
		if e.m = maps.Clone(e.m); e.m == nil {
			e.m = map[K]V{}
		}
	}
}

func (e *edited[K, V]) set(k K, v V) {
	e.own()
	e.m[k] = v
}

func (e *edited[K, V]) remove(k K) {
	if _, there := e.m[k]; there {
		e.own()
		delete(e.m, k)
	}
}

// put sets a list, or removes it when it is empty.
func put[K comparable, V any](e *edited[K, []V], k K, list []V) {
	if len(list) == 0 {
		e.remove(k)
		return
	}
	e.set(k, list)
}
