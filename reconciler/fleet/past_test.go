package fleet_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/gitops/forge"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/fleet"
	"github.com/davit-dev/davit/registry"
)

// past is a registry in a real git repository, with outcomes, that no cluster serves.
type past struct {
	fleet.Followed // what it does not have is asked by nobody here
	*fleet.Fleet
	t      *testing.T
	dir    string
	clock  int64
	source *gitops.Source
	now    atomic.Pointer[followedCommit]
	runs   map[string]gitops.Run
}

type followedCommit struct {
	snapshot *gitops.Snapshot
	models   *registry.Registry
}

func (p *past) Registry() (*gitops.Snapshot, *registry.Registry) {
	now := p.now.Load()
	return now.snapshot, now.models
}
func (p *past) Source() *gitops.Source       { return p.source }
func (p *past) Behind() string               { return "" }
func (p *past) Clusters() []*cluster.Cluster { return nil }
func (p *past) CommitURL(commit string) string {
	return "https://git.example.com/models/commit/" + commit
}

func (p *past) MentionURL(word string) string {
	return forge.MentionURL(forge.Config{Kind: forge.Gitea, Repository: "https://git.example.com/ml/models"}, word)
}

func (p *past) Runs(context.Context) (map[string]gitops.Run, map[string]bool, error) {
	return p.runs, nil, nil
}

const firstSecond = 1767312000

// newPast has iris at v1 in staging and production.
func newPast(t *testing.T) *past {
	t.Helper()
	p := &past{t: t, dir: t.TempDir(), clock: firstSecond, Fleet: fleet.New(fleet.Config{})}
	if err := os.CopyFS(p.dir, os.DirFS("../../examples/iris/registry")); err != nil {
		t.Fatal(err)
	}
	p.git("init", "-q", "-b", "main")
	p.commit("Ada", "iris at v1")
	var err error
	if p.source, err = gitops.Open(t.Context(), gitops.Config{URL: p.dir}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.source.Close() })
	p.read()
	end := p.Follow(context.WithoutCancel(t.Context()), "models", p)
	t.Cleanup(end)
	return p
}

// read follows the newest commit.
func (p *past) read() { p.t.Helper(); p.follow(p.t) }

func (p *past) follow(t testing.TB) {
	t.Helper()
	tip, err := p.source.Tip(t.Context())
	now := &followedCommit{}
	if err == nil {
		now.snapshot, err = p.source.Snapshot(t.Context(), tip)
	}
	if err == nil {
		now.models, err = registry.Load(now.snapshot)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.now.Store(now)
}

func (p *past) git(args ...string) string { return p.gitBy("Ada", args...) }

func (p *past) gitBy(who string, args ...string) string {
	p.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	for _, role := range []string{"AUTHOR", "COMMITTER"} {
		cmd.Env = append(cmd.Env, "GIT_"+role+"_NAME="+who, "GIT_"+role+"_EMAIL="+strings.ToLower(who)+"@example.com", fmt.Sprintf("GIT_%s_DATE=%d +0000", role, p.clock))
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit commits all of it, an hour after the commit before.
func (p *past) commit(who, message string) string {
	p.t.Helper()
	p.clock += 3600
	p.git("add", "-A")
	p.gitBy(who, "commit", "-q", "-m", message)
	return p.git("rev-parse", "HEAD")
}

func (p *past) write(name, text string) {
	p.t.Helper()
	file := filepath.Join(p.dir, name)
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = os.WriteFile(file, []byte(text), 0o644)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// edit replaces text in a file.
func (p *past) edit(name, from, to string) {
	p.t.Helper()
	data, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil || !strings.Contains(string(data), from) {
		p.t.Fatalf("%s does not contain %q: %v", name, from, err)
	}
	p.write(name, strings.ReplaceAll(string(data), from, to))
}

// note adds an outcome to a commit, as davit does.
func (p *past) note(commit, line string) {
	p.t.Helper()
	p.git("notes", "--ref=davit", "append", "-m", line, commit)
}

func (p *past) timeline(v fleet.Viewer, q fleet.TimelineQuery) *fleet.Timeline {
	p.t.Helper()
	out, err := p.Timeline(p.t.Context(), v, "models", q)
	if err != nil || out == nil {
		p.t.Fatal(out, err)
	}
	return out
}

// subjects are those of a timeline, newest first.
func subjects(t *fleet.Timeline) (out []string) {
	for _, c := range t.Commits {
		out = append(out, c.Subject)
	}
	return out
}
