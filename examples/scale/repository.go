package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/davit-dev/davit/examples/scale/generate"
)

// repository is a registry in a repository of the real git, and the version each release is at.
type repository struct {
	dir      string
	options  generate.Options
	releases []generate.Release
	version  map[string]string
	next     int
}

func newRepository(ctx context.Context, dir string, o generate.Options) (*repository, error) {
	r := &repository{dir: dir, options: o, releases: generate.Releases(o), version: map[string]string{}}
	if err := generate.Write(dir, o); err != nil {
		return nil, fmt.Errorf("generating the registry: %w", err)
	}
	for _, release := range r.releases {
		r.version[release.Name] = generate.First
	}
	// A repository that is in use is packed; thousands of loose files would be a case of its own. Git's own
	// housekeeping would run beside a measurement.
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"config", "gc.auto", "0"}, {"config", "maintenance.auto", "false"},
		{"add", "-A"}, {"commit", "-q", "-m", "all releases at " + generate.First}, {"repack", "-a", "-d", "-q"}, {"prune-packed", "-q"},
	} {
		if _, err := r.git(ctx, args...); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *repository) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// pick takes n releases spread over the teams, others each time until all had their turn.
func (r *repository) pick(n int) []generate.Release {
	const stride = 37 // has no factor in common with the numbers of releases that are usual here
	picked := make([]generate.Release, 0, n)
	for range min(n, len(r.releases)) {
		picked = append(picked, r.releases[r.next*stride%len(r.releases)])
		r.next++
	}
	return picked
}

// change is a file to write, or to remove when the text is empty.
type change struct{ file, text string }

// promote moves a release to its other version.
func (r *repository) promote(release generate.Release) change {
	to := generate.Second
	if r.version[release.Name] == to {
		to = generate.First
	}
	r.version[release.Name] = to
	return change{release.File, generate.ReleaseText(release, to)}
}

func (r *repository) promoteAll(releases []generate.Release) []change {
	changes := make([]change, len(releases))
	for i, release := range releases {
		changes[i] = r.promote(release)
	}
	return changes
}

// commit is a commit and the moment its ref was written: before git itself returned.
type commit struct {
	hash string
	at   time.Time
}

func (r *repository) commit(ctx context.Context, changes ...change) (commit, error) {
	args := []string{"add", "-A", "--"}
	for _, c := range changes {
		path := filepath.Join(r.dir, c.file)
		err := os.Remove(path)
		if c.text != "" {
			err = os.WriteFile(path, []byte(c.text), 0o644)
		}
		if err != nil {
			return commit{}, err
		}
		args = append(args, c.file)
	}
	if _, err := r.git(ctx, args...); err != nil {
		return commit{}, err
	}
	if _, err := r.git(ctx, "commit", "-q", "-m", fmt.Sprintf("change %d files", len(changes))); err != nil {
		return commit{}, err
	}
	ref := filepath.Join(r.dir, ".git", "refs", "heads", "main")
	info, err := os.Stat(ref)
	if err != nil {
		return commit{}, err
	}
	hash, err := os.ReadFile(ref)
	return commit{strings.TrimSpace(string(hash)), info.ModTime()}, err
}
