package history

import (
	"github.com/davit-dev/davit/gitops"
)

// index holds, per commit of one first-parent chain, oldest first, what it did to releases. What is in it never
// changes; it grows, or is cut and grows anew.
type index struct {
	// names are releases' keys, versions and models' folders; the first is "". ids finds them again.
	names []string
	ids   map[string]uint32
	// shallow says that the clone ends at the first commit.
	shallow bool
	entries []entry
}

type entry struct {
	commit  gitops.Hash
	time    int64 // the committer's, in Unix seconds
	records []record
}

// kind is what is known of a release at a commit that touched it.
type kind uint8

const (
	changed kind = iota
	same         // its inputs are what they were when it was last sound: outcomes may be noted here all the same
	broken       // nobody can tell
)

// record is one release at one commit. The rest is of changed ones alone; a version "" means removed.
type record struct {
	release, version, model uint32 // numbers of names
	kind                    kind
	key                     inputKey
}

// inputKey is the beginning of a release's input key: long enough that nobody finds two releases that share it.
type inputKey [16]byte

func newIndex() *index {
	return &index{names: []string{""}, ids: map[string]uint32{"": 0}}
}

// id is the number of a name, a new one if need be.
func (x *index) id(name string) uint32 {
	if x.ids == nil { // it was read from the file
		x.ids = make(map[string]uint32, len(x.names))
		for i, n := range x.names {
			x.ids[n] = uint32(i)
		}
	}
	id, ok := x.ids[name]
	if !ok {
		id = uint32(len(x.names))
		x.names, x.ids[name] = append(x.names, name), id
	}
	return id
}

// find gives a commit's place, or -1.
func (x *index) find(h gitops.Hash) int {
	for i := len(x.entries) - 1; i >= 0; i-- {
		if x.entries[i].commit == h {
			return i
		}
	}
	return -1
}

// first gives the oldest n commits as an index that can grow another way.
func (x *index) first(n int) *index {
	if n == 0 {
		return newIndex()
	}
	return &index{names: x.names[:len(x.names):len(x.names)], shallow: x.shallow, entries: x.entries[:n:n]}
}

func (x *index) view(n int) *view {
	return &view{names: x.names, shallow: x.shallow, entries: x.entries[:n]}
}

// state is what the index says of a release after a commit: when it last changed, and whether it is broken now.
type state struct {
	record
	at     int // the entry of the change
	broken bool
}

// states are those after the last commit, by the number of the release; of other names they are zero.
func (x *index) states() []state {
	out := make([]state, len(x.names))
	for i, e := range x.entries {
		for _, r := range e.records {
			apply(out, i, r)
		}
	}
	return out
}

func apply(states []state, i int, r record) {
	s := &states[r.release]
	if s.broken = r.kind == broken; r.kind == changed {
		*s = state{record: r, at: i}
	}
}
