package fleet_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/examples/scale/generate"
	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/fleet"
)

// BenchmarkTimeline is what a viewer waits for in a registry of 10,000 releases and 2,000 commits with an outcome each: the
// timeline for the first time, again, and after one more outcome; the fleet, and the models.
func BenchmarkTimeline(b *testing.B) {
	const releases, commits = 10_000, 2_000
	p := &past{dir: b.TempDir(), clock: firstSecond, Fleet: fleet.New(fleet.Config{})}
	git := func(stdin string, args ...string) {
		cmd := exec.Command("git", append([]string{"-c", "user.name=Ada", "-c", "user.email=ada@example.com"}, args...)...)
		cmd.Dir, cmd.Stdin = p.dir, strings.NewReader(stdin)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	o := generate.Options{Releases: releases, Layout: generate.Teams, Replicas: 1, Images: "example.com/m"}
	if err := generate.Write(p.dir, o); err != nil {
		b.Fatal(err)
	}
	git("", "init", "-q", "-b", "main")
	git("", "add", "-A")
	git("", "commit", "-q", "-m", "first")
	all := generate.Releases(o)
	var in strings.Builder
	for n := range commits {
		text := generate.ReleaseText(all[n*37%releases], generate.Second)
		fmt.Fprintf(&in, "commit refs/heads/main\nmark :%d\ncommitter Grace <grace@example.com> %d +0000\ndata 7\npromote\n", n+1, firstSecond+60*n)
		if n == 0 {
			in.WriteString("from refs/heads/main^0\n")
		}
		fmt.Fprintf(&in, "M 644 inline %s\ndata %d\n%s\n", all[n*37%releases].File, len(text), text)
	}
	in.WriteString("commit refs/notes/davit\ncommitter davit <davit@example.com> 1767412000 +0000\ndata 5\nnotes\n")
	for n := range commits {
		at := time.Unix(int64(firstSecond+60*n+30), 0).UTC().Format(time.RFC3339)
		text := fmt.Sprintf(`{"at":%q,"release":"production/%s","outcome":"Healthy","version":"v2","applied":%q}`+"\n", at, all[n*37%releases].Name, at)
		fmt.Fprintf(&in, "N inline :%d\ndata %d\n%s\n", n+1, len(text), text)
	}
	git(in.String(), "fast-import", "--quiet", "--force")
	git("", "repack", "-adq")
	var err error
	if p.source, err = gitops.Open(b.Context(), gitops.Config{URL: p.dir}); err != nil {
		b.Fatal(err)
	}
	defer p.source.Close()
	p.follow(b)
	defer p.Follow(b.Context(), "models", p)()
	ask := func(b *testing.B, q fleet.TimelineQuery, want int) {
		out, err := p.Timeline(b.Context(), fleet.Viewer{}, "models", q)
		if err != nil || out.Found != want {
			b.Fatal(out, err)
		}
	}
	began := time.Now()
	ask(b, fleet.TimelineQuery{}, commits+1)
	b.Logf("the first time takes %v", time.Since(began))
	b.Run("warm", func(b *testing.B) {
		for b.Loop() {
			ask(b, fleet.TimelineQuery{}, commits+1)
		}
	})
	b.Run("author", func(b *testing.B) {
		for b.Loop() {
			ask(b, fleet.TimelineQuery{Author: "grace", Release: all[37].Name}, 1)
		}
	})
	for what, q := range map[string]struct {
		fleet.Query
		found int
	}{"fleet": {found: releases}, "fleet searched": {fleet.Query{Search: all[37].Name}, 1}, "fleet of a team": {fleet.Query{Team: all[37].Team}, releases / 100}} {
		b.Run(what, func(b *testing.B) {
			for b.Loop() {
				if out := p.Releases(fleet.Viewer{}, "models", q.Query); out == nil || out.Found != q.found {
					b.Fatalf("%+v", out)
				}
			}
		})
	}
	b.Run("models", func(b *testing.B) {
		for b.Loop() {
			if _, err := p.Models(b.Context(), fleet.Viewer{}, "models", fleet.ModelQuery{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("outcome", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			git("", "notes", "--ref=davit", "append", "-m", `{"at":"2027-01-01T00:00:00Z","release":"production/x","outcome":"Healthy"}`, "main")
			b.StartTimer()
			ask(b, fleet.TimelineQuery{}, commits+1)
		}
	})
}
