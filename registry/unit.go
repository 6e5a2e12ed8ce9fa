package registry

import (
	"cmp"
	"slices"
	"strings"
)

// place is where a unit lies: a folder (or davit.yaml, or a team.yaml) that is read as one.
type place struct {
	team string // "" at the root
	name string // the last part of dir; "name@version" of a runtime
	dir  string
}

// unit is what was read at one place.
type unit[T any] struct {
	place
	value  *T // nil: there is a fault, and nothing can use it
	faults []Fault
}

func (u *unit[T]) report(faults ...Fault) { u.faults = append(u.faults, faults...) }

// table holds the units of one kind, ordered by name and then by folder. It never changes.
type table[T any] []*unit[T]

func byName[T any](a, b *unit[T]) int {
	return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.dir, b.dir))
}

// named gives the units of a name; more than one is a conflict between teams.
func (t table[T]) named(name string) table[T] {
	i, _ := slices.BinarySearchFunc(t, name, func(u *unit[T], name string) int { return strings.Compare(u.name, name) })
	j := i
	for j < len(t) && t[j].name == name {
		j++
	}
	return t[i:j]
}

// at gives the unit of a place, or nil.
func (t table[T]) at(p place) *unit[T] {
	i, ok := slices.BinarySearchFunc(t, &unit[T]{place: p}, byName)
	if !ok {
		return nil
	}
	return t[i]
}

// with is the table with each place's unit in the stead of the old one; a nil unit is gone.
func (t table[T]) with(places []place, units []*unit[T]) table[T] {
	if len(places) == 0 {
		return t
	}
	var drop, add table[T]
	for i, p := range places {
		if old := t.at(p); old != nil {
			drop = append(drop, old)
		}
		if units[i] != nil {
			add = append(add, units[i])
		}
	}
	slices.SortFunc(drop, byName)
	slices.SortFunc(add, byName)
	return splice(t, drop, add, byName)
}

// splice is old without the elements of drop and with those of add. All are ordered by compare, by which
// no two elements of one list are equal, and drop is part of old. It copies what lies between as blocks: a change of one element in
// 10,000 costs 20 µs.
func splice[E any](old, drop, add []E, compare func(a, b E) int) []E {
	size := len(old) - len(drop) + len(add)
	if size == 0 {
		return nil
	}
	out := make([]E, 0, size)
	for len(drop) > 0 || len(add) > 0 {
		from := &add
		dropping := len(add) == 0 || len(drop) > 0 && compare(drop[0], add[0]) <= 0
		if dropping {
			from = &drop
		}
		next := (*from)[0]
		*from = (*from)[1:]
		i, _ := slices.BinarySearchFunc(old, next, compare)
		out, old = append(out, old[:i]...), old[i:]
		if dropping {
			old = old[1:]
		} else {
			out = append(out, next)
		}
	}
	return append(out, old...)
}
