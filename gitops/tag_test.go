package gitops

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestVersions(t *testing.T) {
	tags := []string{"v1.0.0", "1.2.0", "v1.2.0", "v1.10.0", "v2.0.0-rc.1", "v1.3", "20261124", "release", "registry/v1.5.0", "registry/v9.0.0", "other/v1.9.0", "v1.2.0+build"}
	for rang, want := range map[string]string{
		">=1.0.0 <2.0.0":    "v1.10.0",
		"~1.2":              "v1.2.0+build", // of those that count the same the last by name
		"1.0.x || ~1.1":     "v1.0.0",
		">=1.0.0-0":         "v2.0.0-rc.1",
		"*":                 "v1.10.0",
		"registry/^1.0.0":   "registry/v1.5.0",
		"registry/>= 1.0.0": "registry/v9.0.0",
	} {
		v, err := parseVersions(rang)
		if err != nil {
			t.Errorf("%s: %v", rang, err)
			continue
		}
		if got, err := v.pick(tags); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", rang, got, err, want)
		}
	}
	for rang, want := range map[string]string{
		"~3.0":           `it has no tag in the range "~3.0"; the newest are v2.0.0-rc.1, v1.10.0, v1.2.0+build, v1.2.0, 1.2.0`,
		">=2.0.0":        "a range takes pre-releases where it names one, as >=1.0.0-0 does",
		"nowhere/>1.0.0": `it has no tag that is a semantic version, such as nowhere/v1.2.0; the range is "nowhere/>1.0.0"`,
	} {
		v, err := parseVersions(rang)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := v.pick(tags); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want %q", rang, got, err, want)
		}
	}
	for _, rang := range []string{"latest", "v1.x.y.z", "registry/", ">=1.0.0 <"} {
		if _, err := Open(t.Context(), Config{URL: t.TempDir(), Semver: rang}); err == nil || !strings.Contains(err.Error(), "is not a range of semantic versions") {
			t.Errorf("%s: %v", rang, err)
		}
	}
}

func TestOneRefIsFollowed(t *testing.T) {
	for _, cfg := range []Config{{Branch: "main", Tag: "v1.0.0"}, {Tag: "v1.0.0", Semver: "*"}, {Branch: "main", Semver: "*"}} {
		if _, err := Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "only one of branch, tag and semver") {
			t.Error(err)
		}
	}
	if _, err := Open(t.Context(), Config{Tag: "v 1"}); err == nil || !strings.Contains(err.Error(), `"v 1" is not the name of a tag`) {
		t.Error(err)
	}
}

// tag makes an annotated tag, or moves it.
func (r *repo) tag(name, at string) { r.git("tag", "-f", "-a", "-m", name, name, at) }

func TestTagIsFollowed(t *testing.T) {
	for _, remote := range []bool{false, true} {
		t.Run(map[bool]string{false: "local", true: "remote"}[remote], func(t *testing.T) {
			r := newRepo(t)
			first, second, third := r.commit("one", "a", "1"), r.commit("two", "a", "2"), r.commit("three", "a", "3")
			r.tag("v1.0.0", first)
			r.git("tag", "light", second)
			cfg := func(c Config) Config {
				c.URL = r.dir
				if remote {
					c.URL, c.Mirror = serve(t, r, "").url(""), t.TempDir()
				}
				return c
			}
			s := open(t, cfg(Config{Tag: "refs/tags/v1.0.0"}))
			tip := func(s *Source, want string) {
				t.Helper()
				if got, err := s.Fetch(t.Context()); err != nil || got.String() != want {
					t.Fatalf("tip %s, %v; want %s", got, err, want)
				}
			}
			tip(s, first)
			if s.Branch() != "main" || !s.Tagged() || s.Following() != "tag v1.0.0" {
				t.Error(s.Branch(), s.Tagged(), s.Following())
			}
			if got := s.Revision(ParseHash(first)); got != "v1.0.0@sha1:"+first[:12] {
				t.Error(got)
			}
			if got, err := s.Resolve(t.Context(), s.Revision(ParseHash(first))); err != nil || got.String() != first {
				t.Error(got, err)
			}
			if base, err := s.Base(t.Context()); err != nil || base.String() != third {
				t.Error(base, err)
			}
			r.tag("v1.0.0", second)
			tip(s, second)
			r.tag("v1.0.0", first) // back again
			tip(s, first)
			tip(open(t, cfg(Config{Tag: "light"})), second)
			versions := open(t, cfg(Config{Semver: ">=1.0.0 <2.0.0"}))
			tip(versions, first)
			r.tag("v1.1.0", third)
			r.tag("v2.0.0", second)
			tip(versions, third)
			if got := versions.Revision(ParseHash(third)); got != "v1.1.0@sha1:"+third[:12] {
				t.Error(got)
			}
			r.git("tag", "-d", "v1.1.0")
			tip(versions, first) // that this goes back is for who follows to judge
			r.git("checkout", "-q", "-b", "hotfix", second)
			hotfix := r.commit("off the branch", "b", "1")
			r.tag("v1.0.1", hotfix)
			tip(versions, hotfix)
			if data, err := snapshot(t, versions, hotfix).ReadFile("b"); err != nil || string(data) != "1" {
				t.Error(string(data), err)
			}
			if _, err := Open(t.Context(), cfg(Config{Tag: "v1.0.9"})); err == nil || !strings.Contains(err.Error(), "it has no tag v1.0.9; the newest are v2.0.0, v1.0.1, v1.0.0") {
				t.Error(err)
			}
			if _, err := Open(t.Context(), cfg(Config{Semver: "~3"})); err == nil || !strings.Contains(err.Error(), `it has no tag in the range "~3"; the newest are v2.0.0, v1.0.1, v1.0.0`) {
				t.Error(err)
			}
		})
	}
}

func TestTagOfTreeIsNoCommit(t *testing.T) {
	r := newRepo(t)
	r.commit("one", "a", "1")
	r.git("tag", "tree", "HEAD^{tree}")
	if _, err := Open(t.Context(), Config{URL: r.dir, Tag: "tree"}); err == nil || !strings.Contains(err.Error(), "is a tree and not a commit") {
		t.Error(err)
	}
}

func TestMirrorServesItsTagThroughAnOutage(t *testing.T) {
	r := newRepo(t)
	first := r.commit("one", "a", "1")
	r.tag("v1.0.0", first)
	srv := serve(t, r, "")
	cfg := Config{URL: srv.url(""), Mirror: t.TempDir(), Semver: "1.x"}
	open(t, cfg).Close()
	srv.setDown(true)
	s := open(t, cfg)
	wantTip(t, s, first)
	srv.setDown(false)
	posts := srv.requests()
	if _, err := s.Fetch(t.Context()); err != nil || srv.requests() != posts {
		t.Errorf("%v; %d requests for what is there", err, srv.requests()-posts)
	}
	r.git("tag", "-d", "v1.0.0")
	if _, err := s.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "it has no tag that is a semantic version") {
		t.Error(err)
	}
	if _, err := Open(t.Context(), cfg); err == nil { // the server's answer is not overruled by the mirror
		t.Error("a deleted tag is served")
	}
}

// Two processes may share a mirror, and follow other tags of it.
func TestMirrorOfSeveral(t *testing.T) {
	r := newRepo(t)
	first, second := r.commit("one", "a", "1"), r.commit("two", "a", "2")
	r.tag("v1.0.0", first)
	r.tag("v2.0.0", second)
	srv, dir := serve(t, r, ""), t.TempDir()
	one := open(t, Config{URL: srv.url(""), Mirror: dir, Tag: "v1.0.0"})
	two := open(t, Config{URL: srv.url(""), Mirror: dir, Semver: ">=2.0.0"})
	for range 2 {
		for s, want := range map[*Source]string{one: first, two: second} {
			if got, err := s.Fetch(t.Context()); err != nil || got.String() != want {
				t.Errorf("%s: %s, %v", s.Following(), got, err)
			}
			wantTip(t, one, first)
			wantTip(t, two, second)
		}
	}
	wantTip(t, open(t, Config{URL: srv.url(""), Mirror: dir}), second)
}

func TestWatchTags(t *testing.T) {
	r := newRepo(t)
	first, second := r.commit("one", "a", "1"), r.commit("two", "a", "2")
	r.tag("registry/v1.0.0", first)
	tag, rang := watch(t, open(t, Config{URL: r.dir, Tag: "registry/v1.0.0"})), watch(t, open(t, Config{URL: r.dir, Semver: "registry/1.x"}))
	await(t, tag, first)
	await(t, rang, first)
	r.git("pack-refs", "--all", "--prune")
	r.tag("registry/v1.1.0", second)
	await(t, rang, second)
	r.tag("registry/v1.0.0", second)
	await(t, tag, second)
	r.git("pack-refs", "--all", "--prune")
	third := r.commit("three", "a", "3")
	r.tag("registry/v1.2.0", third)
	await(t, rang, third)
	linked := filepath.Join(t.TempDir(), "linked") // with a HEAD that is detached
	r.git("worktree", "add", "-q", "--detach", linked)
	detached := watch(t, open(t, Config{URL: linked, Tag: "registry/v1.0.0"}))
	await(t, detached, second)
	srv := serve(t, r, "")
	remote := watch(t, open(t, Config{URL: srv.url(""), Mirror: t.TempDir(), Semver: "registry/1.x", Interval: 20 * time.Millisecond}))
	await(t, remote, third)
	r.tag("registry/v1.3.0", first)
	await(t, remote, first)
}

func TestProposalBesideATag(t *testing.T) {
	r := newRepo(t)
	first, second := r.commit("one", "a", "1"), r.commit("two", "a", "2")
	r.tag("v1.0.0", first)
	r.git("config", "http.receivepack", "true")
	s := open(t, Config{URL: serve(t, r, "").url(""), Mirror: t.TempDir(), Tag: "v1.0.0"})
	base, err := s.Base(t.Context())
	if err != nil || base.String() != second {
		t.Fatal(base, err)
	}
	author := Davit()
	own, err := s.Own(t.Context(), base, author) // what the branch has is nobody's work to lose
	if err != nil || !own {
		t.Error(own, err)
	}
	h, err := s.Propose(t.Context(), Proposal{Branch: "davit/x", Base: base, Files: []FileChange{{Path: "b", Content: []byte("1")}}, Message: "x", Author: author})
	if err != nil || r.git("rev-parse", "davit/x", "davit/x^") != h.String()+"\n"+second {
		t.Error(h, err)
	}
	wantTip(t, s, first)
}
