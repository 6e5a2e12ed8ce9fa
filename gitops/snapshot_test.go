package gitops

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

func TestSnapshot(t *testing.T) {
	r := newRepo(t)
	sub := newRepo(t)
	sub.commit("sub", "f", "x")
	files := []string{"a.txt", "a/z.txt", "a.b/c", "a-b", "deep/er/est/f", "run.sh"}
	for _, f := range files {
		r.write(f, "content of "+f)
	}
	r.write("big.txt", strings.Repeat("0123456789", 5000))
	if err := os.Symlink("a/z.txt", filepath.Join(r.dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(r.dir, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", sub.dir, "mod")
	r.commit("a subject\nof two lines\n\nBody.\n\nMore.")
	s := r.open("")
	check := func(t *testing.T) {
		snap := snapshot(t, s, "HEAD")
		if err := fstest.TestFS(snap, append(files, "link", "mod", "big.txt")...); err != nil {
			t.Error(err)
		}
		for _, f := range append(files, "link", "big.txt", ".gitmodules") {
			if got, err := snap.BlobHash(f); err != nil || got != r.git("rev-parse", "HEAD:"+f) {
				t.Errorf("%s: hash %s, %v", f, got, err)
			}
		}
	}
	t.Run("loose", check)
	r.git("gc", "-q")
	t.Run("packed", check)

	snap := snapshot(t, s, "HEAD")
	for name, want := range map[string]fs.FileMode{
		"a.txt": 0o444, "run.sh": 0o555, "link": fs.ModeSymlink | 0o444, "mod": fs.ModeIrregular | 0o444, "a": fs.ModeDir | 0o555, ".": fs.ModeDir | 0o555,
	} {
		if fi, err := snap.Stat(name); err != nil || fi.Mode() != want || !fi.ModTime().IsZero() {
			t.Errorf("%s: %v, %v; want %v", name, fi, err, want)
		}
	}
	if data, err := snap.ReadFile("link"); string(data) != "a/z.txt" {
		t.Errorf("link holds %q, %v", data, err)
	}
	for name, want := range map[string]error{
		"nope": fs.ErrNotExist, "a/nope": fs.ErrNotExist, "a.txt/x": fs.ErrNotExist, "link/x": fs.ErrNotExist, "mod/f": fs.ErrNotExist, "../x": fs.ErrInvalid, "/a": fs.ErrInvalid, "": fs.ErrInvalid,
	} {
		_, err := snap.BlobHash(name)
		_, err2 := snap.ReadFile(name)
		if !errors.Is(err, want) || !errors.Is(err2, want) {
			t.Errorf("%q: %v, %v; want %v", name, err, err2, want)
		}
	}
	for _, name := range []string{"a", ".", "mod"} {
		if h, err := snap.BlobHash(name); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: hash %q, %v", name, h, err)
		}
	}

	c := snap.Commit()
	if c.Subject != "a subject of two lines" || c.Body != "Body.\n\nMore." || c.Author.Name != "Ada" ||
		c.Committer.Email != "grace@example.com" || !c.Author.When.Equal(r.clock) || c.Hash != snap.Hash() {
		t.Errorf("%+v", c)
	}
	if got, want := c.Revision("main"), "main@sha1:"+r.git("rev-parse", "HEAD")[:12]; got != want {
		t.Errorf("revision %s, want %s", got, want)
	}
}

func TestSnapshotWideFolderConcurrently(t *testing.T) {
	r := newRepo(t)
	const n = 500
	for i := range n {
		r.write(fmt.Sprintf("wide/r%05d/release.yaml", i), fmt.Sprint(i))
	}
	r.commit("wide")
	snap := snapshot(t, r.open(""), "HEAD")
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < n; i += 8 {
				data, err := snap.ReadFile(fmt.Sprintf("wide/r%05d/release.yaml", i))
				if err != nil || string(data) != fmt.Sprint(i) {
					t.Errorf("%d: %q, %v", i, data, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// A user's gc moves objects into packs that an open store has not seen, and removes those it has.
func TestGarbageCollectionWhileOpen(t *testing.T) {
	r := newRepo(t)
	for i := range 5 {
		r.commit("c", "f.txt", strings.Repeat(fmt.Sprintf("line %d\n", i), 5000), fmt.Sprintf("d/%d", i), "x")
	}
	r.git("gc", "-q")
	s := r.open("")
	old := snapshot(t, s, "HEAD~4")
	if _, err := old.ReadFile("f.txt"); err != nil {
		t.Fatal(err)
	}
	later := r.commit("later", "new/f.txt", strings.Repeat("new\n", 9000))
	snap := snapshot(t, s, later)
	r.git("gc", "-q", "--aggressive", "--prune=now")
	for _, name := range []string{"f.txt", "new/f.txt", "d/3"} {
		want := r.git("cat-file", "blob", later+":"+name)
		if data, err := snap.ReadFile(name); err != nil || strings.TrimRight(string(data), "\n") != want {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
	if fi, err := old.Stat("f.txt"); err != nil || fi.Size() != 35000 {
		t.Errorf("%v, %v", fi, err)
	}
}

// TestEdited has another text in one place, with the id that git gives it, and leaves the snapshot alone.
func TestEdited(t *testing.T) {
	r := newRepo(t)
	r.write("a/b", "new text")
	r.commit("new")
	want := r.git("rev-parse", "HEAD:a/b")
	r.write("a/b", "old")
	r.commit("old", "a/c", "other")
	snap := snapshot(t, r.open(""), "HEAD")
	edited := snap.Edited("a/b", []byte("new text"))
	if got, err := fs.ReadFile(edited, "a/b"); err != nil || string(got) != "new text" {
		t.Errorf("read %q, %v", got, err)
	}
	if info, err := fs.Stat(edited, "a/b"); err != nil || info.Size() != 8 || info.Name() != "b" {
		t.Errorf("%v, %v", info, err)
	}
	if got, err := edited.BlobHash("a/b"); err != nil || got != want {
		t.Errorf("hash %s, %v, want %s", got, err, want)
	}
	if got, err := fs.ReadFile(edited, "a/c"); err != nil || string(got) != "other" {
		t.Errorf("the file beside it: %q, %v", got, err)
	}
	if got, err := fs.ReadFile(snap, "a/b"); err != nil || string(got) != "old" {
		t.Errorf("the snapshot: %q, %v", got, err)
	}
	for name, want := range map[string]string{"a/b": "b c", "a/a": "a b c", "a/bb": "b bb c", "a/d": "b c d", "b/d": "b c"} {
		list, err := fs.ReadDir(snap.Edited(name, []byte("new")), "a")
		var names []string
		for _, e := range list {
			names = append(names, e.Name())
		}
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("with %s the folder lists %s, %v, want %s", name, got, err, want)
		}
	}
	if list, err := fs.ReadDir(snap, "a"); err != nil || len(list) != 2 {
		t.Errorf("the snapshot's folder: %v, %v", list, err)
	}
}

// TestSnapshotOfNothing reads the tree that git knows and does not store.
func TestSnapshotOfNothing(t *testing.T) {
	r := newRepo(t)
	r.git("commit", "-q", "--allow-empty", "-m", "nothing")
	if entries, err := fs.ReadDir(snapshot(t, r.open(""), "HEAD"), "."); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v; want no entries", entries, err)
	}
}

// TestChangedIsBounded: a dozen trees that hold ten thousand million files are told as their folders, and so is what lies
// deeper than anybody looks.
func TestChangedIsBounded(t *testing.T) {
	r := newRepo(t)
	before := r.commit("begin", "a", "a")
	deep := strings.Repeat("d/", 300) + "file"
	r.commit("deep", deep, "a")
	s := r.open("main")
	paths, err := snapshot(t, s, "HEAD").Changed(t.Context(), snapshot(t, s, before))
	if err != nil || len(paths) != 1 || !strings.HasPrefix(deep, paths[0]) || !strings.HasSuffix(paths[0], "/") {
		t.Errorf("deep: %q, %v", paths, err)
	}
	made, kind := r.git("hash-object", "-w", "a"), "100644 blob "
	for range 10 {
		list := ""
		for i := range 10 {
			list += kind + made + "\tf" + string(rune('0'+i)) + "\n"
		}
		r.write("list", list)
		made, kind = r.git("-c", "alias.made=!git mktree < list", "made"), "040000 tree "
	}
	bomb := r.git("commit-tree", made, "-p", "HEAD", "-m", "bomb")
	r.git("update-ref", "HEAD", bomb)
	if paths, err = snapshot(t, s, bomb).Changed(t.Context(), snapshot(t, s, before)); err != nil {
		t.Fatal(err)
	}
	folders := 0
	for _, p := range paths {
		if strings.HasSuffix(p, "/") {
			folders++
		}
	}
	if len(paths) > maxChanged+100 || folders == 0 {
		t.Errorf("%d paths, %d of them folders", len(paths), folders)
	}
}
