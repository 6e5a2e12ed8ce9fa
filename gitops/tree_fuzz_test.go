package gitops

import (
	"bytes"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// treeOf is a tree's bytes.
func treeOf(entries ...string) []byte {
	var out []byte
	for i, e := range entries {
		out = append(append(out, e...), 0)
		out = append(out, bytes.Repeat([]byte{byte(i + 1)}, len(Hash{}))...)
	}
	return out
}

// FuzzTree holds what is read of two trees against go-git's reader, and their difference against one by hand.
func FuzzTree(f *testing.F) {
	f.Add(treeOf("100644 a", "40000 b", "100755 c"), treeOf("100644 a", "100644 b.yaml", "40000 b"))
	f.Add(treeOf("120000 link", "160000 module"), []byte{})
	f.Add(treeOf("100644 b", "100644 a"), treeOf("100644 ..", "100644 a/b"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var files [2]map[string]entry
		for i, raw := range [][]byte{a, b} {
			if files[i] = readBoth(t, raw); files[i] == nil {
				return
			}
		}
		cache := newTrees(nil)
		ha, hb := Hash{1}, Hash{2}
		cache.put(ha, &folder{raw: a})
		cache.put(hb, &folder{raw: b})
		got, err := cache.changed(t.Context(), ha, hb)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{}
		for name := range maps.Keys(mergedKeys(files[0], files[1])) {
			x, inA := files[0][name]
			y, inB := files[1][name]
			if inA != inB || x.mode != y.mode || x.hash != y.hash {
				want = append(want, name)
			}
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("changed %q, want %q", got, want)
		}
	})
}

func mergedKeys(a, b map[string]entry) map[string]entry {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// readBoth reads a tree without folders; nil for any other.
func readBoth(t *testing.T, raw []byte) map[string]entry {
	f := &folder{raw: raw}
	if err := f.parse(); err != nil {
		return nil
	}
	obj := &plumbing.MemoryObject{}
	obj.SetType(plumbing.TreeObject)
	if _, err := obj.Write(raw); err != nil {
		t.Fatal(err)
	}
	var theirs object.Tree
	if err := theirs.Decode(obj); err != nil || len(theirs.Entries) != f.len() {
		t.Fatalf("%d entries, go-git has %d, %v", f.len(), len(theirs.Entries), err)
	}
	files := map[string]entry{}
	for i, their := range theirs.Entries {
		e := f.entry(i)
		if string(e.name) != their.Name || e.hash != their.Hash || gitMode(e.mode) && e.mode != uint32(their.Mode) {
			t.Errorf("entry %d is %o %q, go-git has %s %q", i, e.mode, e.name, their.Mode, their.Name)
		}
		if strings.Contains(their.Name, "/") {
			t.Errorf("entry %q", their.Name)
		}
		if found, ok, err := f.find(their.Name); err != nil || !ok || string(found.name) != their.Name {
			t.Errorf("%q is not found: %v", their.Name, err)
		}
		if e.isDir() {
			return nil
		}
		files[their.Name] = e
	}
	return files
}

// gitMode says whether git writes that mode; go-git reads others as it likes.
func gitMode(mode uint32) bool {
	return slices.Contains([]uint32{modeDir, modeFile, modeExec, modeSymlink, modeModule}, mode)
}

// FuzzNote: what two writers add comes together whoever is first, each line once, and nothing that was there is changed.
func FuzzNote(f *testing.F) {
	f.Add("", `{"release":"production/iris"}`+"\n", "a\nb\n")
	f.Add("a note of a person's", "a\na\n \n", "a \n\tb")
	f.Fuzz(func(t *testing.T, before, ours, theirs string) {
		set := func(text []byte) string {
			var lines []string
			for line := range bytes.Lines(text) {
				if line = bytes.TrimSpace(line); len(line) > 0 {
					lines = append(lines, string(line))
				}
			}
			slices.Sort(lines)
			return strings.Join(slices.Compact(lines), "\n")
		}
		var ends []string
		for _, order := range [][]string{{ours, theirs}, {theirs, ours}} {
			n := &noteText{text: []byte(before)}
			for _, text := range order {
				lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
				n.add(lines)
				if more := n.add(lines); more != nil {
					t.Errorf("%q came twice into %q", more, n.text)
				}
			}
			if !strings.HasPrefix(string(n.text), before) {
				t.Errorf("%q was %q", n.text, before)
			}
			ends = append(ends, set(n.text))
		}
		if ends[0] != ends[1] || ends[0] != set([]byte(before+"\n"+ours+"\n"+theirs)) {
			t.Errorf("%q and %q", ends[0], ends[1])
		}
	})
}

// FuzzNotesTree walks a folder of notes: only full hashes in hex are commits.
func FuzzNotesTree(f *testing.F) {
	name := strings.Repeat("ab", 20)
	f.Add(treeOf("100644 "+name, "100644 note.txt"))
	f.Add(treeOf("100644 " + strings.Repeat("zz", 20)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := &Source{trees: newTrees(nil)}
		s.trees.put(Hash{1}, &folder{raw: raw})
		told := 0
		err := s.notes(t.Context(), Hash{1}, "", func(string) bool { return false }, func(commit, _ Hash) error {
			if told++; !bytes.Contains(bytes.ToLower(raw), []byte(hex.EncodeToString(commit[:]))) {
				t.Errorf("told of %s", commit)
			}
			return nil
		})
		if err == nil && told > len(raw)/62 {
			t.Errorf("told of %d in %d bytes", told, len(raw))
		}
	})
}
