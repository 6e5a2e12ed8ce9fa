package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/examples/scale/generate"
)

func TestPromotionIsOneLine(t *testing.T) {
	ctx := t.Context()
	r, err := newRepository(ctx, filepath.Join(t.TempDir(), "registry"), generate.Options{Releases: 20, Layout: generate.Teams})
	if err != nil {
		t.Fatal(err)
	}
	release := r.pick(1)[0]
	for _, want := range []string{"-  version: v1\n+  version: v2", "-  version: v2\n+  version: v1"} {
		c, err := r.commit(ctx, r.promote(release))
		if err != nil {
			t.Fatal(err)
		}
		if since := time.Since(c.at); since < 0 || since > time.Minute {
			t.Errorf("the commit is %s old", since)
		}
		patch, err := r.git(ctx, "show", "--format=", "-U0", c.hash)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(patch, want) || strings.Count(patch, "\n@@") != 1 {
			t.Errorf("the promotion is\n%s", patch)
		}
	}
}

// Every release has its turn before one comes again, or commits would undo what is still under way.
func TestPickTakesEach(t *testing.T) {
	for _, n := range []int{20, 100, 1000, 10000} {
		r := &repository{releases: generate.Releases(generate.Options{Releases: n, Layout: generate.Teams})}
		seen := map[string]bool{}
		for range n {
			for _, release := range r.pick(1) {
				if seen[release.Name] {
					t.Fatalf("%d releases: %s is picked again after %d", n, release.Name, len(seen))
				}
				seen[release.Name] = true
			}
		}
	}
}
