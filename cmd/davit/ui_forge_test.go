package main

import (
	"os/exec"
	"testing"

	"github.com/davit-dev/davit/reconciler"
)

// TestForgePages: the page of a clone leads to its remote's forge, and of one without a remote nowhere.
func TestForgePages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git("init", "-q", "-b", "main")
	for _, c := range []struct {
		remote, repo string
		want         string
	}{
		{"", "", ""},
		{"git@github.com:ml/models.git", "", "https://github.com/ml/models/pull/12"},
		{"", "https://x:pl4nted-git@codeberg.org/ml/models", "https://codeberg.org/ml/models/pulls/12"},
	} {
		if c.remote != "" {
			git("remote", "add", "origin", c.remote)
		}
		var got reconciler.Config
		(&app{dir: dir}).forgePages(t.Context(), &syncOptions{repo: c.repo}, &got)
		if url := got.MentionURL("#12"); url != c.want {
			t.Errorf("remote %q, --repo %q: #12 is at %q, want %q", c.remote, c.repo, url, c.want)
		}
	}
}
