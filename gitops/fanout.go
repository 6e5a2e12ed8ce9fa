package gitops

import (
	"bytes"
	"context"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// fanout is a notes tree being changed. The paths of a notes tree are commits in hex, cut after two digits into folders
// where there are many, in any depth; a note may even be in two places (git-notes(1), notes.c).
type fanout struct {
	source *Source
	batch  *batch
	tree   Hash
	notes  map[Hash]*noteText
	leaves map[string]leaf
}

// noteText is a note and the paths it was at; it is written to the first.
type noteText struct {
	text    []byte
	paths   []string
	changed bool
}

// add appends the lines that are not there yet, each once, and returns them. The note of a commit that moved ten
// thousand releases is 3 MB: what is new is looked for in it, so that no copy of it is made to look in.
func (n *noteText) add(lines []string) (added []string) {
	fresh, size := map[string]bool{}, 1
	for _, line := range lines {
		fresh[strings.TrimSpace(line)] = true
		size += len(line) + 1
	}
	for line := range bytes.Lines(n.text) {
		if line = bytes.TrimSpace(line); fresh[string(line)] {
			delete(fresh, string(line))
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	n.text, n.changed = ended(slices.Grow(n.text, size)), true
	for _, line := range lines {
		if key := strings.TrimSpace(line); fresh[key] {
			delete(fresh, key)
			n.text, added = append(append(n.text, line...), '\n'), append(added, line)
		}
	}
	return added
}

// ended is a text whose last line has an end.
func ended(text []byte) []byte {
	if len(text) > 0 && text[len(text)-1] != '\n' {
		return append(text, '\n')
	}
	return text
}

func (f *fanout) note(commit Hash) (*noteText, error) {
	n, known := f.notes[commit]
	if !known {
		var err error
		if n, err = f.read(f.tree, "", commit.String(), nil); err != nil {
			return nil, err
		}
		if n == nil {
			n = &noteText{}
		}
		f.notes[commit] = n
	}
	return n, nil
}

// read finds a note below a folder. Nil is none.
func (f *fanout) read(tree Hash, prefix, rest string, n *noteText) (*noteText, error) {
	dir, err := f.source.trees.get(tree)
	if err != nil {
		return nil, err
	}
	if e, found, err := dir.find(rest); err != nil {
		return nil, err
	} else if found && !e.isDir() {
		text, err := f.source.store.read(plumbing.BlobObject, e.hash)
		if err != nil {
			return nil, err
		}
		if n == nil {
			n = &noteText{}
		}
		if len(n.text) > 0 {
			text = append(ended(n.text), text...)
		}
		n.text, n.paths = text, append(n.paths, prefix+rest)
	}
	if len(rest) <= 2 {
		return n, nil
	}
	e, found, err := dir.find(rest[:2])
	if err != nil || !found || !e.isDir() {
		return n, err
	}
	return f.read(e.hash, prefix+rest[:2]+"/", rest[2:], n)
}

// merge takes in what another notes tree has more. Which notes differ is told by their paths.
func (f *fanout) merge(ctx context.Context, other Hash) error {
	paths, err := f.source.trees.changed(ctx, f.tree, other)
	if err != nil {
		return err
	}
	theirs := &fanout{source: f.source, tree: other, notes: map[Hash]*noteText{}}
	for _, path := range paths {
		commit := strings.ReplaceAll(path, "/", "")
		if _, err := hex.DecodeString(commit); err != nil || len(commit) != 40 {
			continue // not a note; ours stays
		}
		from, err := theirs.note(ParseHash(commit))
		if err != nil {
			return err
		}
		to, err := f.note(ParseHash(commit))
		if err != nil {
			return err
		}
		var lines []string
		for line := range strings.Lines(string(from.text)) {
			if line = strings.TrimRight(line, "\n"); strings.TrimSpace(line) != "" {
				lines = append(lines, line)
			}
		}
		to.add(lines)
	}
	return nil
}

// write makes the tree with all notes that changed.
func (f *fanout) write(ctx context.Context) (Hash, error) {
	f.leaves = map[string]leaf{}
	fresh := map[string]leaf{} // by the commit in hex
	for commit, n := range f.notes {
		if !n.changed {
			continue
		}
		blob, err := f.batch.add(plumbing.BlobObject, n.text)
		if err != nil {
			return Hash{}, err
		}
		n.text = nil // the batch has a copy
		if len(n.paths) == 0 {
			fresh[commit.String()] = leaf{modeFile, blob}
			continue
		}
		for _, path := range n.paths {
			f.leaves[path] = leaf{}
		}
		f.leaves[n.paths[0]] = leaf{modeFile, blob}
	}
	if err := f.place(f.tree, "", fresh); err != nil {
		return Hash{}, err
	}
	if len(f.leaves) == 0 {
		return f.tree, nil
	}
	return f.batch.edit(ctx, f.tree, f.leaves)
}

// place finds paths below a folder for notes that have none: where their neighbours are. A folder with two notes for
// each first digit is cut into folders, as git does when it writes notes (determine_fanout in notes.c), and the notes in
// it move.
func (f *fanout) place(tree Hash, prefix string, fresh map[string]leaf) error {
	if len(fresh) == 0 {
		return nil
	}
	width := 40 - 2*strings.Count(prefix, "/")
	flat, folders, err := f.level(tree, width)
	if err != nil {
		return err
	}
	if len(folders) == 0 && !crowded(flat, fresh) || width <= 4 {
		for name, l := range fresh {
			f.leaves[prefix+name] = l
		}
		return nil
	}
	if len(folders) == 0 { // it is cut now
		for name, l := range flat {
			if changed, ok := f.leaves[prefix+name]; ok {
				l = changed
			}
			f.leaves[prefix+name] = leaf{}
			f.leaves[prefix+name[:2]+"/"+name[2:]] = l
		}
	}
	below := map[string]map[string]leaf{}
	for name, l := range fresh {
		if below[name[:2]] == nil {
			below[name[:2]] = map[string]leaf{}
		}
		below[name[:2]][name[2:]] = l
	}
	for name, fresh := range below {
		if err := f.place(folders[name], prefix+name+"/", fresh); err != nil {
			return err
		}
	}
	return nil
}

// level reads the notes, whose names are as wide as given, and the folders of notes in a folder.
func (f *fanout) level(tree Hash, width int) (flat map[string]leaf, folders map[string]Hash, err error) {
	dir, err := f.source.trees.get(tree)
	if err != nil {
		return nil, nil, err
	}
	flat, folders = map[string]leaf{}, map[string]Hash{}
	for rest := dir.raw; len(rest) > 0; {
		var e entry
		if e, rest, err = next(rest); err != nil {
			return nil, nil, err
		}
		switch name := string(e.name); {
		case e.isDir() && len(name) == 2:
			folders[name] = e.hash
		case !e.isDir() && len(name) == width:
			flat[name] = leaf{e.mode, e.hash}
		}
	}
	return flat, folders, nil
}

// crowded says whether each first digit has two notes.
func crowded(notes ...map[string]leaf) bool {
	digits := map[byte]int{}
	for _, names := range notes {
		for name := range names {
			digits[name[0]]++
		}
	}
	for _, d := range []byte("0123456789abcdef") {
		if digits[d] < 2 {
			return false
		}
	}
	return true
}
