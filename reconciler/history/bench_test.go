package history

import (
	"fmt"
	"os"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/davit-dev/davit/examples/scale/generate"
	"github.com/davit-dev/davit/gitops"
)

const (
	benchReleases = 10_000
	benchCommits  = 2_000
)

// large is a registry of 10,000 releases whose first commit is followed by 2,000 promotions, each with the note of its
// outcome, packed by the real git.
func large(b *testing.B, layout generate.Layout) (*repo, []generate.Release) {
	r := newRepo(b)
	o := generate.Options{Releases: benchReleases, Layout: layout, Replicas: 1, Images: "example.com/m"}
	if err := generate.Write(r.dir, o); err != nil {
		b.Fatal(err)
	}
	r.git("add", "-A")
	r.git("commit", "-q", "-m", "first")
	releases := generate.Releases(o)
	var in strings.Builder
	for n := range benchCommits {
		release := releases[n*37%benchReleases]
		text := generate.ReleaseText(release, []string{generate.Second, generate.First}[n/benchReleases%2])
		fmt.Fprintf(&in, "commit refs/heads/main\nmark :%d\ncommitter Grace <grace@example.com> %d +0000\ndata 7\npromote\n", n+1, 1767312000+60*n)
		if n == 0 {
			in.WriteString("from refs/heads/main^0\n")
		}
		fmt.Fprintf(&in, "M 644 inline %s\ndata %d\n%s\n", release.File, len(text), text)
	}
	in.WriteString("commit refs/notes/davit\ncommitter davit <davit@example.com> 1767412000 +0000\ndata 5\nnotes\n")
	for n := range benchCommits {
		at := time.Unix(int64(1767312000+60*n+30), 0).UTC().Format(time.RFC3339)
		text := fmt.Sprintf(`{"at":%q,"release":"production/%s","outcome":"Healthy","version":"v2","applied":%q}`+"\n", at, releases[n*37%benchReleases].Name, at)
		fmt.Fprintf(&in, "N inline :%d\ndata %d\n%s\n", n+1, len(text), text)
	}
	r.feed(in.String(), "fast-import", "--quiet", "--force")
	r.git("repack", "-adq")
	return r, releases
}

// promote adds one commit of one release, or of the environment that all share.
func (r *repo) promote(name, text string) {
	r.clock += 60
	r.feed(fmt.Sprintf("commit refs/heads/main\ncommitter Grace <grace@example.com> %d +0000\ndata 4\nmore\nfrom refs/heads/main^0\nM 644 inline %s\ndata %d\n%s\n", r.clock, name, len(text), text),
		"fast-import", "--quiet", "--force")
}

// BenchmarkHistory is what a user waits for, from opening the repository on: building the index, asking, and adding a
// commit of one release and one that all share; the peer is git's own log of the release's folder.
func BenchmarkHistory(b *testing.B) {
	for _, layout := range []generate.Layout{generate.Teams, generate.Flat} {
		b.Run(string(layout), func(b *testing.B) {
			r, releases := large(b, layout)
			of := releases[(benchCommits-1)*37%benchReleases]
			one := Filter{Environment: generate.Environment, Release: of.Name}
			measure := func(name string, before, run func()) {
				b.Run(name, func(b *testing.B) {
					var cpu time.Duration
					for b.Loop() {
						b.StopTimer()
						before()
						from := cpuTime(b)
						b.StartTimer()
						run()
						cpu += cpuTime(b) - from
					}
					b.ReportMetric(float64(cpu.Milliseconds())/float64(b.N), "cpu-ms/op")
				})
			}
			nothing := func() {}
			measure("cold", func() { os.RemoveAll(path.Join(r.dir, ".git", "davit")) }, func() { r.ask(b, one, 2) })
			info, err := os.Stat(fileIn(path.Join(r.dir, ".git"), ""))
			if err != nil {
				b.Fatal(err)
			}
			b.Logf("the index takes %d kB", info.Size()/1000)
			measure("warm-one", nothing, func() { r.ask(b, one, 2) })
			measure("warm-50", nothing, func() { r.ask(b, Filter{Limit: 50}, 50) })
			measure("git-log", nothing, func() {
				if out := r.git("log", "--first-parent", "--format=%H", "--", path.Dir(of.File)); strings.Count(out, "\n") != 1 {
					b.Fatal(out)
				}
			})
			measure("at-one", nothing, func() { r.askAt(b, one, 1) })
			measure("at-all", nothing, func() { r.askAt(b, Filter{}, benchReleases) })
			other, n := releases[1], 0 // which none of the commits promotes
			measure("step-release", func() { n++; r.promote(other.File, generate.ReleaseText(other, []string{"v1", "v2"}[n%2])) }, func() { r.newest(b) })
			environment := "environments/" + generate.Environment + "/environment.yaml"
			text := r.git("show", "main:"+environment)
			measure("step-shared", func() { n++; r.promote(environment, fmt.Sprintf("%s\n# %d\n", text, n)) }, func() { r.newest(b) })
		})
	}
}

// cpuTime is what the process and the git it called used, on all cores: of use on a machine that others work on too.
func cpuTime(b *testing.B) (sum time.Duration) {
	for _, whose := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(whose, &u); err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum
}

// fresh is what a new process has.
func (r *repo) fresh(b *testing.B) (*History, gitops.Hash) {
	s, err := gitops.Open(b.Context(), gitops.Config{URL: r.dir})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	tip, err := s.Tip(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return New(Config{Source: s}), tip
}

// ask reads all that davit history prints.
func (r *repo) ask(b *testing.B, f Filter, want int) {
	h, tip := r.fresh(b)
	list, err := h.Revisions(b.Context(), tip, f)
	if err != nil || len(list) != want || list[0].Outcome() != "Healthy" {
		b.Fatal(len(list), err)
	}
	for _, c := range list {
		if _, err := h.Who(b.Context(), c.Commit, nil); err != nil {
			b.Fatal(err)
		}
		if _, _, err := h.Metrics(b.Context(), c.Change); err != nil {
			b.Fatal(err)
		}
	}
}

func (r *repo) askAt(b *testing.B, f Filter, want int) {
	h, tip := r.fresh(b)
	list, err := h.At(b.Context(), tip, time.Unix(1767312000+60*benchCommits, 0), f)
	if err != nil || len(list) != want || list[0].Spec == nil {
		b.Fatal(len(list), err)
	}
}

func (r *repo) newest(b *testing.B) {
	h, tip := r.fresh(b)
	list, err := h.Changes(b.Context(), tip, Filter{Limit: 1})
	if err != nil || len(list) != 1 || list[0].Commit != tip.String() {
		b.Fatal(list, err)
	}
}
