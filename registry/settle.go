package registry

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// conflicts are faults that only the whole registry shows, by the release they break.
type conflicts struct {
	claims    map[Key][]Fault // two teams have one key
	clashes   map[Key][]Fault // two environments put one name into one namespace
	depends   map[Key][]Fault // dependsOn names what is not there, or goes round
	depending []*entry        // those with dependsOn, ordered by key
}

// at gives the entries of a key; more than one is a conflict between teams.
func (r *Registry) at(key Key) []*entry {
	i, _ := slices.BinarySearchFunc(r.entries, key, func(e *entry, key Key) int { return e.key.compare(key) })
	j := i
	for j < len(r.entries) && r.entries[j].key == key {
		j++
	}
	return r.entries[i:j]
}

// settle finds the conflicts between releases and says of each release that was read or that a conflict
// came to or left whether it is sound. Only those are looked at.
func (u *update) settle() *Registry {
	keys := map[Key]bool{}
	for _, e := range u.dropped {
		keys[e.key] = true
	}
	for _, e := range u.added {
		keys[e.key] = true
	}
	claims, clashes := u.claims(keys), u.clashes(keys)
	depends := u.depends(keys)
	u.conflicts.claims, u.conflicts.clashes, u.conflicts.depends = claims.m, clashes.m, depends.m
	candidates := maps.Clone(keys)
	for _, c := range []struct {
		edited[Key, []Fault]
		before map[Key][]Fault
	}{{claims, u.old.conflicts.claims}, {clashes, u.old.conflicts.clashes}, {depends, u.old.conflicts.depends}} {
		if c.changed {
			u.noted.changed = true
			for key := range c.m {
				candidates[key] = true
			}
			for key := range c.before {
				candidates[key] = true
			}
		}
	}
	u.state(keys, slices.SortedFunc(maps.Keys(candidates), Key.compare))
	if u.noted.changed {
		u.Registry.noted = u.noted.m
		u.Faults = u.allFaults()
	}
	u.hints = nil
	return u.Registry
}

// state brings Releases and Broken up to date for some keys; those read anew count as touched in any case.
func (u *update) state(read map[Key]bool, candidates []Key) {
	broken := edited[Key, []Fault]{m: u.Broken}
	if u.Broken == nil {
		broken.own()
	}
	var drop, add []*Release
	for _, key := range candidates {
		was := u.old.Release(key)
		now, faults := u.verdict(key)
		if now == was && reflect.DeepEqual(faults, u.Broken[key]) {
			if read[key] {
				u.touched = append(u.touched, key)
			}
			continue
		}
		u.touched = append(u.touched, key)
		put(&broken, key, faults)
		if was != nil {
			drop = append(drop, was)
		}
		if now != nil {
			add = append(add, now)
		}
	}
	u.Broken = broken.m
	if len(drop)+len(add) > 0 {
		u.Releases = splice(u.Releases, drop, add, func(a, b *Release) int { return a.Key().compare(b.Key()) })
	}
}

// verdict is a key's sound release, or why there is none; neither when nothing claims the key.
func (u *update) verdict(key Key) (*Release, []Fault) {
	var faults []Fault
	entries := u.at(key)
	for _, e := range entries {
		faults = append(faults, e.broken()...)
	}
	faults = slices.Concat(faults, u.conflicts.claims[key], u.conflicts.clashes[key], u.conflicts.depends[key])
	if len(faults) > 0 || len(entries) == 0 {
		return nil, faults
	}
	return entries[0].release, nil
}

func (u *update) allFaults() (all []Fault) {
	for _, faults := range u.noted.m {
		all = append(all, faults...)
	}
	for _, byKey := range []map[Key][]Fault{u.conflicts.claims, u.conflicts.clashes, u.conflicts.depends} {
		for _, faults := range byKey {
			all = append(all, faults...)
		}
	}
	return sortFaults(all)
}

// claims breaks a release that is in two folders: each would take the other's objects.
func (u *update) claims(keys map[Key]bool) edited[Key, []Fault] {
	out := edited[Key, []Fault]{m: u.old.conflicts.claims}
	for key := range union(keys, out.m) {
		var faults []Fault
		entries := u.at(key)
		for i, e := range entries {
			if len(entries) > 1 {
				faults = append(faults, Fault{e.path, 1, fmt.Sprintf("release %s is in %s too; names are unique in an environment, so rename one of them",
					key, entries[(i+1)%len(entries)].dir)})
			}
		}
		put(&out, key, faults)
	}
	return out
}

// clashes breaks releases of one name that two environments put into one namespace, for the same reason.
func (u *update) clashes(keys map[Key]bool) edited[Key, []Fault] {
	out := edited[Key, []Fault]{m: u.old.conflicts.clashes}
	sharing := map[string][]string{}
	for _, name := range sortedKeys(u.Environments) {
		namespace := u.Environments[name].Spec.Namespace
		sharing[namespace] = append(sharing[namespace], name)
	}
	maps.DeleteFunc(sharing, func(_ string, envs []string) bool { return len(envs) < 2 })
	if len(sharing) == 0 && len(out.m) == 0 {
		return out
	}
	names := map[string]bool{}
	for key := range union(keys, out.m) {
		names[key.Name] = true
	}
	for key := range u.old.conflicts.clashes {
		out.remove(key)
	}
	for name := range names {
		for namespace, envs := range sharing {
			u.clash(&out, name, namespace, envs)
		}
	}
	return out
}

func (u *update) clash(out *edited[Key, []Fault], name, namespace string, envs []string) {
	var there []*entry
	for _, env := range envs {
		there = append(there, u.at(Key{env, name})...)
	}
	for i, e := range there {
		j := slices.IndexFunc(there, func(o *entry) bool { return o.key != e.key })
		if j < 0 {
			return
		}
		out.set(e.key, append(slices.Clip(out.m[e.key]), Fault{e.path, 1, fmt.Sprintf(
			"environments %q and %q share the namespace %q, and %s would be in it twice; give each a namespace of its own",
			e.key.Environment, there[j].key.Environment, namespace, there[i].key.Name)}))
	}
}

// union is the keys of both, as a set.
func union[V any](a map[Key]bool, b map[Key]V) map[Key]bool {
	if len(b) == 0 {
		return a
	}
	out := maps.Clone(a)
	for key := range b {
		out[key] = true
	}
	return out
}

// only leaves one release.
func (r *Registry) only(key Key) *Registry {
	n := *r
	n.Releases, n.Broken, n.Faults, n.touched = nil, map[Key][]Fault{}, nil, []Key{key}
	if release := r.Release(key); release != nil {
		n.Releases = []*Release{release}
	}
	if faults := r.Broken[key]; faults != nil {
		n.Broken[key] = faults
		n.Faults = slices.DeleteFunc(slices.Clone(r.Faults), func(f Fault) bool { return !slices.Contains(faults, f) })
	}
	return &n
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.SortedFunc(maps.Keys(m), strings.Compare)
}
