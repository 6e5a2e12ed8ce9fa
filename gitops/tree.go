package gitops

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"sort"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

// Modes of tree entries (git's object.h), as they stand in the tree.
const (
	modeDir     = 0o040000
	modeFile    = 0o100644
	modeExec    = 0o100755
	modeSymlink = 0o120000
	modeModule  = 0o160000
)

var errMalformedTree = fmt.Errorf("malformed tree: %w", fs.ErrInvalid)

// entry is one line of a tree; name aliases the tree's bytes.
type entry struct {
	mode uint32
	name []byte
	hash Hash
}

func (e entry) isDir() bool { return e.mode == modeDir }

// next cuts the first entry off raw: octal mode, space, name, NUL, 20 bytes of hash.
func next(raw []byte) (e entry, rest []byte, err error) {
	sp := bytes.IndexByte(raw, ' ')
	if sp < 1 || sp > 6 {
		return e, nil, errMalformedTree
	}
	for _, c := range raw[:sp] {
		if c < '0' || c > '7' {
			return e, nil, errMalformedTree
		}
		e.mode = e.mode<<3 | uint32(c-'0')
	}
	raw = raw[sp+1:]
	nul := bytes.IndexByte(raw, 0)
	if nul < 1 || len(raw) < nul+1+len(e.hash) {
		return e, nil, errMalformedTree
	}
	e.name = raw[:nul]
	copy(e.hash[:], raw[nul+1:])
	return e, raw[nul+1+len(e.hash):], nil
}

// order is git's: a folder sorts as if its name ended in a slash, so "a.b" comes before the folder "a".
func order(a, b entry) int {
	n := min(len(a.name), len(b.name))
	if c := bytes.Compare(a.name[:n], b.name[:n]); c != 0 {
		return c
	}
	return a.at(n) - b.at(n)
}

func (e entry) at(i int) int {
	switch {
	case i < len(e.name):
		return int(e.name[i])
	case e.isDir():
		return '/'
	}
	return 0
}

// folder is a tree: its bytes, and where the entries start once one is looked up.
type folder struct {
	raw  []byte
	once sync.Once
	offs []uint32
	err  error
}

func (f *folder) parse() error {
	f.once.Do(func() {
		var last entry
		for rest := f.raw; len(rest) > 0; {
			off := uint32(len(f.raw) - len(rest))
			e, r, err := next(rest)
			switch {
			case err != nil:
			case bytes.IndexByte(e.name, '/') >= 0, string(e.name) == ".", string(e.name) == "..":
				err = fmt.Errorf("%w: entry %q", errMalformedTree, e.name)
			case off > 0 && order(last, e) >= 0:
				err = fmt.Errorf("%w: entry %q is out of order", errMalformedTree, e.name)
			}
			if err != nil {
				f.err = err
				return
			}
			f.offs, last, rest = append(f.offs, off), e, r
		}
	})
	return f.err
}

func (f *folder) len() int { return len(f.offs) }

func (f *folder) entry(i int) entry {
	e, _, _ := next(f.raw[f.offs[i]:])
	return e
}

// find looks a name up as a file and then as a folder, which sorts elsewhere.
func (f *folder) find(name string) (entry, bool, error) {
	if err := f.parse(); err != nil {
		return entry{}, false, err
	}
	for _, mode := range []uint32{modeFile, modeDir} {
		want := entry{mode: mode, name: []byte(name)}
		i := sort.Search(len(f.offs), func(i int) bool { return order(f.entry(i), want) >= 0 })
		if i < len(f.offs) {
			if e := f.entry(i); order(e, want) == 0 {
				return e, true, nil
			}
		}
	}
	return entry{}, false, nil
}

// treeBudget bounds one generation of cached folders. A folder of 10,000 entries is about 0.5 MB, all folders of 10,000 releases in
// teams about 1 MB, and what a commit changes of them 7 KB.
const treeBudget = 8 << 20

// trees caches folders by hash in two generations: what was not used during one generation goes with
// the next. Snapshots and history share it, since neighbouring commits share nearly all folders.
type trees struct {
	store *store
	empty *folder

	mu       sync.Mutex
	young    map[Hash]*folder
	old      map[Hash]*folder
	youngLen int
}

func newTrees(s *store) *trees {
	return &trees{store: s, empty: &folder{}, young: map[Hash]*folder{}}
}

// emptyTree is one that git knows without having it stored: the root of git commit --allow-empty.
var emptyTree = ParseHash("4b825dc642cb6eb9a060e54bf8d69288fbee4904")

// get reads a folder; the zero hash is an empty one.
func (t *trees) get(h Hash) (*folder, error) {
	if h.IsZero() || h == emptyTree {
		return t.empty, nil
	}
	t.mu.Lock()
	f, ok := t.young[h]
	if !ok {
		if f, ok = t.old[h]; ok {
			t.put(h, f)
		}
	}
	t.mu.Unlock()
	if ok {
		return f, nil
	}
	raw, err := t.store.read(plumbing.TreeObject, h)
	if err != nil {
		return nil, err
	}
	f = &folder{raw: raw}
	t.mu.Lock()
	t.put(h, f)
	t.mu.Unlock()
	return f, nil
}

func (t *trees) put(h Hash, f *folder) {
	if t.youngLen += len(f.raw); t.youngLen > treeBudget {
		t.old, t.young, t.youngLen = t.young, map[Hash]*folder{}, len(f.raw)
	}
	t.young[h] = f
}

// at looks a path up below a tree.
func (t *trees) at(tree Hash, path string) (e entry, ok bool, err error) {
	e = entry{mode: modeDir, hash: tree}
	for name := range strings.SplitSeq(path, "/") {
		if !e.isDir() {
			return entry{}, false, nil
		}
		f, err := t.get(e.hash)
		if err != nil {
			return entry{}, false, err
		}
		if e, ok, err = f.find(name); err != nil || !ok {
			return entry{}, false, err
		}
	}
	return e, true, nil
}

// maxChanged bounds the paths that are told of one comparison: a dozen trees can hold ten thousand million files.
const maxChanged = 200_000

// changed lists, sorted, the paths of blobs and submodules that differ between two trees. Folders with
// equal hashes are not opened: this is what makes a commit cost what it changes. What lies too deep, or beyond maxChanged
// paths, is told as its folder, with a slash at the end.
func (t *trees) changed(ctx context.Context, a, b Hash) ([]string, error) {
	var paths []string
	if err := t.diff(ctx, "", a, b, &paths); err != nil {
		return nil, err
	}
	sort.Strings(paths)
	// A file that became executable is one entry, a file that became a folder two: both paths differ.
	return paths, nil
}

func (t *trees) diff(ctx context.Context, prefix string, a, b Hash, out *[]string) error {
	if a == b {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if strings.Count(prefix, "/") > maxDepth || len(*out) >= maxChanged && prefix != "" {
		*out = append(*out, prefix)
		return nil
	}
	fa, err := t.get(a)
	if err != nil {
		return err
	}
	fb, err := t.get(b)
	if err != nil {
		return err
	}
	ra, rb := fa.raw, fb.raw
	for len(ra) > 0 || len(rb) > 0 {
		if n := same(ra, rb); n > 0 {
			ra, rb = ra[n:], rb[n:]
			continue
		}
		var ea, eb *entry
		if ea, eb, ra, rb, err = pair(ra, rb); err != nil {
			return fmt.Errorf("reading folder %s: %w", strings.TrimSuffix(prefix, "/"), err)
		}
		if err := t.diffEntry(ctx, prefix, ea, eb, out); err != nil {
			return err
		}
	}
	return nil
}

// maxDepth bounds recursion on trees made to exhaust it.
const maxDepth = 200

// same is the length of the first entry when both sides begin with it. Nearly all entries of a wide folder
// go this way, so it parses nothing.
func same(a, b []byte) int {
	n := bytes.IndexByte(a, 0) + 1 + len(Hash{})
	if n <= len(Hash{}) || len(a) < n || len(b) < n || !bytes.Equal(a[:n], b[:n]) {
		return 0
	}
	return n
}

// pair takes the next entry of both sides; one is nil where the other side has no such entry.
func pair(ra, rb []byte) (ea, eb *entry, resta, restb []byte, err error) {
	var a, b entry
	if len(ra) > 0 {
		if a, resta, err = next(ra); err != nil {
			return
		}
		ea = &a
	}
	if len(rb) > 0 {
		if b, restb, err = next(rb); err != nil {
			return
		}
		eb = &b
	}
	if ea == nil || eb == nil {
		return
	}
	switch c := order(a, b); {
	case c < 0:
		return ea, nil, resta, rb, nil
	case c > 0:
		return nil, eb, ra, restb, nil
	}
	return
}

func (t *trees) diffEntry(ctx context.Context, prefix string, a, b *entry, out *[]string) error {
	if a != nil && b != nil && a.hash == b.hash && a.mode == b.mode {
		return nil
	}
	var ha, hb Hash
	e := a
	if a != nil {
		ha = a.hash
	}
	if b != nil {
		hb, e = b.hash, b
	}
	if e.isDir() {
		return t.diff(ctx, prefix+string(e.name)+"/", ha, hb, out)
	}
	*out = append(*out, prefix+string(e.name))
	return nil
}
