package gitops

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// shared is a repository that may be pushed to, its server, and what opens mirrors of it.
func shared(t testing.TB) (*repo, *server, func() *Source) {
	t.Helper()
	r := newRepo(t)
	r.commit("one", "a/b", "1", "c", "2")
	r.git("config", "http.receivepack", "true")
	srv := serve(t, r, "")
	return r, srv, func() *Source { return open(t, Config{URL: srv.url(""), Mirror: t.TempDir()}) }
}

func tip(t testing.TB, s *Source) Hash {
	t.Helper()
	h, err := s.Tip(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestEdit holds trees against those that git makes of the same files.
func TestEdit(t *testing.T) {
	r := newRepo(t)
	base := ParseHash(r.commit("one", "a/b", "1", "a.b", "2", "a-b", "3", "d/e/f", "4", "d/g", "5", "file", "6"))
	s := r.open("")
	_, tree, err := s.commit(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		leaves map[string]leaf
		do     func()
	}{
		{"nothing", nil, func() {}},
		{"more", map[string]leaf{"a/c": {modeFile, Hash{}}, "new/deep/er": {modeExec, Hash{}}}, func() {
			r.write("a/c", "x")
			r.write("new/deep/er", "x")
			if err := os.Chmod(filepath.Join(r.dir, "new/deep/er"), 0o755); err != nil {
				t.Fatal(err)
			}
		}},
		{"less", map[string]leaf{"d/e/f": {}, "a.b": {}, "missing/x": {}, "file/x": {}}, func() { r.git("rm", "-q", "d/e/f", "a.b") }},
		{"file-to-folder", map[string]leaf{"file": {}, "file/x": {modeFile, Hash{}}}, func() {
			r.git("rm", "-q", "file")
			r.write("file/x", "x")
		}},
		{"folder-to-file", map[string]leaf{"d/e/f": {}, "d/e": {modeFile, Hash{}}}, func() {
			r.git("rm", "-q", "d/e/f")
			r.write("d/e", "x")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.t = t
			r.git("reset", "-q", "--hard", base.String())
			r.git("clean", "-qfd")
			c.do()
			r.git("add", "-A")
			b := s.newBatch()
			blob, err := b.add(plumbing.BlobObject, []byte("x"))
			if err != nil {
				t.Fatal(err)
			}
			for name, l := range c.leaves {
				if l.mode != 0 {
					c.leaves[name] = leaf{l.mode, blob}
				}
			}
			got, err := b.edit(t.Context(), tree, c.leaves)
			if want := r.git("write-tree"); err != nil || got.String() != want {
				t.Errorf("tree %s, %v; git makes %s", got, err, want)
			}
		})
	}
}

// TestPush: new objects and refs arrive, in the mirror too, and a lost race writes nothing.
func TestPush(t *testing.T) {
	r, _, mirror := shared(t)
	s, other := mirror(), mirror()
	base := tip(t, s)
	b, first := onto(t, s, davit, base, "a/b", "mine")
	both := func(old, new Hash) []refUpdate {
		return []refUpdate{{"refs/heads/davit/x", old, new}, {NotesRef, old, new}}
	}
	for range 2 { // again: the answer may have got lost
		if err := s.publish(t.Context(), b, both(Hash{}, first)...); err != nil {
			t.Fatal(err)
		}
	}
	for _, ref := range []string{"davit/x", NotesRef} {
		if got := r.git("rev-parse", ref); got != first.String() {
			t.Errorf("%s is at %s", ref, got)
		}
		if h, err := s.store.ref(plumbing.ReferenceName("refs/" + strings.TrimPrefix("heads/"+ref, "heads/refs/"))); err != nil || h != first {
			t.Errorf("%s is at %s in the mirror, %v", ref, h, err)
		}
	}
	if data, err := snapshot(t, s, first.String()).ReadFile("a/b"); string(data) != "mine" {
		t.Error(string(data), err)
	}

	b, late := onto(t, other, davit, base, "a/b", "late")
	if err := other.publish(t.Context(), b, both(Hash{}, late)...); !errors.Is(err, ErrMoved) {
		t.Errorf("a lost race is %v", err)
	}
	// One ref of two moved: none of them does.
	if err := other.publish(t.Context(), b, refUpdate{"refs/heads/davit/y", Hash{}, late}, refUpdate{NotesRef, Hash{}, late}); !errors.Is(err, ErrMoved) {
		t.Errorf("a lost race is %v", err)
	}
	if got := r.git("for-each-ref", "--format=%(refname)"); strings.Contains(got, "davit/y") {
		t.Error(got)
	}
	// What a fetch brings is what the next write builds on; and a ref that goes, goes here.
	if _, err := other.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, second := onto(t, other, davit, first, "a/b", "second")
	if err := other.publish(t.Context(), b, both(first, second)...); err != nil {
		t.Fatal(err)
	}
	if err := other.publish(t.Context(), nil, refUpdate{"refs/heads/davit/x", second, Hash{}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Source{s, other} {
		if refs, err := s.store.refs(own); err != nil || len(refs) != 1 || refs[NotesRef] != second {
			t.Errorf("the mirror has %v, %v", refs, err)
		}
	}
	r.git("fsck", "--strict")
}

// TestPushRefused: no permission is told from a lost race, in the server's words and without the credentials.
func TestPushRefused(t *testing.T) {
	r := newRepo(t)
	r.commit("one", "a", "1")
	srv := serve(t, r, "tok3n")
	s := open(t, Config{URL: srv.url("me:tok3n"), Mirror: t.TempDir()})
	b, commit := onto(t, s, davit, tip(t, s), "a", "2")
	push := func() error {
		return s.publish(t.Context(), b, refUpdate{"refs/heads/davit/first", Hash{}, commit}, refUpdate{"refs/heads/davit/denied-moved", Hash{}, commit})
	}
	hook := func(name, script string) {
		if err := os.WriteFile(filepath.Join(r.dir, ".git/hooks", name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		do   func()
		is   error
		want string
	}{
		{"forbidden", func() {}, ErrReadOnly, "authorization failed"},
		{"hidden", func() {
			r.git("config", "http.receivepack", "true")
			r.git("config", "receive.hideRefs", "refs/heads/davit")
		}, ErrReadOnly, "deny updating a hidden ref"},
		{"hook", func() {
			r.git("config", "--unset", "receive.hideRefs")
			hook("pre-receive", "echo 'branch is protected, says Grace with tok3n' >&2; exit 1")
		}, ErrReadOnly, "pre-receive hook declined (branch is protected, says Grace with REDACTED)"},
		{"race", func() {
			hook("pre-receive", "") // and somebody moves the ref after the check and before the update
			hook("update", "unset GIT_QUARANTINE_PATH; case $1 in *moved) git update-ref $1 HEAD 0000000000000000000000000000000000000000;; esac")
		}, ErrMoved, "davit/denied-moved"},
		{"away", func() { srv.setDown(true) }, nil, "503"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.do()
			err := push()
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "tok3n") {
				t.Errorf("%v, want %v with %q", err, c.is, c.want)
			}
			if c.is == nil && (errors.Is(err, ErrMoved) || errors.Is(err, ErrReadOnly)) {
				t.Errorf("a server that is away is taken for %v", err)
			}
			if got := r.git("for-each-ref", "--format=%(refname)", "refs/heads/davit/first"); got != "" {
				t.Error("one of two refs moved, which are to move together")
			}
		})
	}
}

// TestLocalRefs: a real git and davit move the same ref by turns, at the same time, packed and not; no move is lost.
func TestLocalRefs(t *testing.T) {
	r := newRepo(t)
	base := ParseHash(r.commit("one", "a", "1"))
	s := r.open("")
	name := plumbing.ReferenceName("refs/heads/davit/x")
	b, first := onto(t, s, davit, base, "a", "first")
	if err := s.publish(t.Context(), b, refUpdate{name, Hash{}, first}); err != nil {
		t.Fatal(err)
	}
	const each = 30
	var wg sync.WaitGroup
	wg.Go(func() { // git commits on what it finds, and loses races too
		for n := 0; n < each; {
			old := r.git("rev-parse", name.String())
			commit := r.git("commit-tree", "-p", old, "-m", fmt.Sprint("git", n), old+"^{tree}")
			if _, err := r.try("update-ref", name.String(), commit, old); err == nil {
				n++
			}
			if n%10 == 5 {
				_, _ = r.try("pack-refs", "--all", "--prune")
			}
		}
	})
	wg.Go(func() {
		for n := 0; n < each; {
			old, err := s.store.ref(name)
			if err != nil {
				continue // between git's rename of packed-refs and the file
			}
			b, commit := onto(t, s, davit, old, "a", fmt.Sprint(n))
			if err := s.publish(t.Context(), b, refUpdate{name, old, commit}); err == nil {
				n++
			} else if !errors.Is(err, ErrMoved) && !strings.Contains(err.Error(), ".lock is held") {
				t.Error(err)
				return
			}
		}
	})
	wg.Wait()
	if got := len(r.lines("rev-list", base.String()+".."+name.String())); got != 2*each+1 {
		t.Errorf("%d commits, want %d", got, 2*each+1)
	}
	r.git("pack-refs", "--all")
	now := ParseHash(r.git("rev-parse", name.String()))
	if err := s.publish(t.Context(), nil, refUpdate{name, first, Hash{}}); !errors.Is(err, ErrMoved) {
		t.Errorf("deleting what moved: %v", err)
	}
	if err := s.publish(t.Context(), nil, refUpdate{name, now, Hash{}}); err != nil {
		t.Error(err)
	}
	if got := r.git("for-each-ref", "--format=%(refname)"); got != "refs/heads/main" {
		t.Errorf("refs %s", got)
	}
	r.git("fsck", "--strict")
}

func TestLocalRefsRefused(t *testing.T) {
	r := newRepo(t)
	base := ParseHash(r.commit("one", "a", "1"))
	r.git("branch", "side")
	r.git("branch", "packed/x")
	r.git("pack-refs", "--all")
	linked := filepath.Join(t.TempDir(), "linked")
	r.git("worktree", "add", "-q", linked, "side")
	for _, dir := range []string{r.dir, linked} {
		s := open(t, Config{URL: dir})
		b, commit := onto(t, s, davit, base, "a", "2")
		for ref, want := range map[plumbing.ReferenceName]string{
			"refs/heads/main":         "is checked out",
			"refs/heads/side":         "is checked out",
			"refs/heads/packed":       "cannot be beside refs/heads/packed/x",
			"refs/heads/packed/x/sub": "cannot be beside refs/heads/packed/x",
		} {
			old := base
			if strings.Contains(want, "beside") {
				old = Hash{}
			}
			if err := s.publish(t.Context(), b, refUpdate{ref, old, commit}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", ref, err, want)
			}
		}
	}
	lock := filepath.Join(r.dir, ".git/refs/heads/davit/x.lock")
	if err := os.MkdirAll(filepath.Dir(lock), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(lock, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s := r.open("")
	b, commit := onto(t, s, davit, base, "a", "2")
	if err := s.publish(t.Context(), b, refUpdate{"refs/heads/davit/x", Hash{}, commit}); err == nil || !strings.Contains(err.Error(), "held by another git") {
		t.Error(err)
	}
	if _, err := os.Stat(lock); err != nil {
		t.Error("another git's lock was removed")
	}
	if got := r.git("status", "--porcelain"); got != "" {
		t.Errorf("the worktree changed: %s", got)
	}
}
