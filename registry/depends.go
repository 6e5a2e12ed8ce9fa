package registry

import (
	"fmt"
	"slices"
	"strings"
)

// depends breaks releases that wait for one that is not there, or for each other. All of dependsOn is
// looked at, but only when a dependsOn or the set of releases changed.
func (u *update) depends(keys map[Key]bool) edited[Key, []Fault] {
	out := edited[Key, []Fault]{m: u.old.conflicts.depends}
	waits := func(list []*entry) (some []*entry) {
		for _, e := range list {
			if len(e.depends) > 0 {
				some = append(some, e)
			}
		}
		return some
	}
	dropped, added := waits(u.dropped), waits(u.added)
	if len(dropped)+len(added) > 0 {
		u.conflicts.depending = splice(u.conflicts.depending, dropped, added, byKey)
	}
	same := slices.EqualFunc(dropped, added, func(a, b *entry) bool { return byKey(a, b) == 0 && slices.Equal(a.depends, b.depends) })
	if same && (len(u.conflicts.depending) == 0 || !u.folderSet && u.sameKeys(keys)) {
		return out
	}
	out = edited[Key, []Fault]{m: map[Key][]Fault{}, changed: true}
	for _, e := range u.conflicts.depending {
		for _, d := range e.depends {
			if len(u.at(Key{e.key.Environment, d.name})) > 0 {
				continue
			}
			others := slices.DeleteFunc(slices.Clone(u.hints.releases()), func(name string) bool { return name == d.name })
			out.m[e.key] = append(out.m[e.key], Fault{d.path, d.line, fmt.Sprintf("release %q does not exist in environment %q%s",
				d.name, e.key.Environment, closest(d.name, others))})
		}
	}
	g := graph{edges: map[Key][]edge{}, seen: map[Key]*mark{}}
	for _, e := range u.conflicts.depending {
		for _, d := range e.depends {
			g.edges[e.key] = append(g.edges[e.key], edge{Key{e.key.Environment, d.name}, d})
		}
	}
	for _, e := range u.conflicts.depending {
		for _, f := range g.around(e.key) {
			out.m[f.key] = append(out.m[f.key], f.fault)
		}
	}
	return out
}

// sameKeys says whether of the keys the same are there as before.
func (u *update) sameKeys(keys map[Key]bool) bool {
	for key := range keys {
		if (len(u.at(key)) == 0) != (len(u.old.at(key)) == 0) {
			return false
		}
	}
	return true
}

// graph finds cycles by Tarjan's strongly connected components.
type graph struct {
	edges map[Key][]edge
	seen  map[Key]*mark
	stack []Key
}

type edge struct {
	to Key
	dependency
}

type mark struct {
	index, low int
	done       bool
}

type keyFault struct {
	key   Key
	fault Fault
}

// around gives the faults of the components found from key on.
func (g *graph) around(key Key) (faults []keyFault) {
	if g.seen[key] == nil {
		g.visit(key, &faults)
	}
	return faults
}

func (g *graph) visit(key Key, faults *[]keyFault) *mark {
	m := &mark{index: len(g.seen), low: len(g.seen)}
	g.seen[key] = m
	from := len(g.stack)
	g.stack = append(g.stack, key)
	for _, e := range g.edges[key] {
		next := g.seen[e.to]
		if next == nil {
			next = g.visit(e.to, faults)
			m.low = min(m.low, next.low)
		} else if !next.done {
			m.low = min(m.low, next.index)
		}
	}
	if m.low == m.index {
		members := slices.Clone(g.stack[from:])
		g.stack = g.stack[:from]
		for _, k := range members {
			g.seen[k].done = true
		}
		if len(members) > 1 {
			for _, k := range members {
				*faults = append(*faults, keyFault{k, g.cycle(k, members)})
			}
		}
	}
	return m
}

// longCycle bounds what is written out of a cycle, and the work for it.
const longCycle = 100

// cycle is the fault of one member: the shortest way from it back to it.
func (g *graph) cycle(start Key, members []Key) Fault {
	inside := map[Key]bool{}
	for _, k := range members {
		inside[k] = true
	}
	first := func(k Key) edge {
		return g.edges[k][slices.IndexFunc(g.edges[k], func(e edge) bool { return inside[e.to] })]
	}
	if len(members) > longCycle {
		d := first(start).dependency
		return Fault{d.path, d.line, fmt.Sprintf("dependsOn goes round among %d releases; %s → %s is part of it", len(members), start.Name, d.name)}
	}
	type step struct {
		from Key
		by   edge
	}
	way := map[Key]step{}
	for todo := []Key{start}; len(todo) > 0; todo = todo[1:] {
		for _, e := range g.edges[todo[0]] {
			if _, known := way[e.to]; inside[e.to] && !known {
				way[e.to] = step{todo[0], e}
				todo = append(todo, e.to)
			}
		}
	}
	names := []string{start.Name}
	at := way[start]
	for ; at.from != start; at = way[at.from] {
		names = append(names, at.from.Name)
	}
	names = append(names, start.Name)
	slices.Reverse(names)
	return Fault{at.by.path, at.by.line, fmt.Sprintf("dependsOn goes round: %s; remove one of them", strings.Join(names, " → "))}
}
