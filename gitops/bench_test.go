package gitops

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
)

const (
	fleetReleases = 10_000
	fleetCommits  = 300
)

// fleet is a registry of 10,000 releases in 40,000 files, in 100 teams or in one folder, of a first commit and
// 300 that promote a release each, packed by the real git.
func fleet(b *testing.B, teams bool) string {
	b.Helper()
	dir := b.TempDir()
	run(b, dir, "init", "-q", "-b", "main")
	cmd := exec.Command("git", "fast-import", "--quiet")
	cmd.Dir = dir
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriterSize(in, 1<<20)
	commit := func(n int) {
		fmt.Fprintf(w, "commit refs/heads/main\ncommitter Ada <ada@example.com> %d +0000\ndata 7\ncommit\n", 1700000000+60*n)
	}
	file := func(name, text string) { fmt.Fprintf(w, "M 644 inline %s\ndata %d\n%s\n", name, len(text), text) }
	commit(0)
	for i := range fleetReleases {
		at := placeOf(i, teams)
		file(at+"/serving.yaml", fmt.Sprintf("apiVersion: davit.dev/v1alpha1\nkind: Serving\nspec:\n  model: m%d\n  runtime: vllm\n  args: {max-model-len: %d}\n  resources: {cpu: 4, memory: 16Gi}\n", i, i))
		file(at+"/production.yaml", release(0))
		file(at+"/staging.yaml", release(1))
		file(strings.Replace(at, "releases", "models", 1)+"/versions/v1.yaml", fmt.Sprintf("apiVersion: davit.dev/v1alpha1\nkind: ModelVersion\nspec:\n  files: [{path: a, sha256: %064d}]\n", i))
	}
	for n := 1; n <= fleetCommits; n++ {
		commit(n)
		file(placeOf(n*37%fleetReleases, teams)+"/production.yaml", release(n))
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	run(b, dir, "repack", "-adq")
	run(b, dir, "update-server-info")
	return dir
}

func placeOf(i int, teams bool) string {
	if teams {
		return fmt.Sprintf("teams/t%02d/releases/r%05d", i%100, i)
	}
	return fmt.Sprintf("releases/r%05d", i)
}

func release(n int) string {
	return fmt.Sprintf("apiVersion: davit.dev/v1alpha1\nkind: Release\nspec:\n\n  version: v%d\n", n)
}

func run(b testing.TB, dir string, args ...string) string {
	b.Helper()
	r := &repo{dir: dir, clock: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}
	out, err := r.try(args...)
	if err != nil {
		b.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(out)
}

func opened(b *testing.B, cfg Config) *Source {
	b.Helper()
	s, err := Open(context.Background(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

// tip and the one before.
func pairOf(b *testing.B, s *Source) (now, before *Snapshot) {
	b.Helper()
	ctx := context.Background()
	h, err := s.Tip(ctx)
	if err != nil {
		b.Fatal(err)
	}
	if now, err = s.Snapshot(ctx, h); err != nil {
		b.Fatal(err)
	}
	if before, err = s.Snapshot(ctx, now.Commit().Parents[0]); err != nil {
		b.Fatal(err)
	}
	return now, before
}

func neighbours(b *testing.B, s *Source) {
	now, before := pairOf(b, s)
	if paths, err := now.Changed(context.Background(), before); err != nil || len(paths) != 1 {
		b.Fatal(paths, err)
	}
}

// BenchmarkNeighbours is what a local commit costs: tip, snapshots, and the paths that changed.
func BenchmarkNeighbours(b *testing.B) {
	each(b, func(b *testing.B, dir string) {
		b.Run("davit-cold", func(b *testing.B) {
			for b.Loop() {
				s, err := Open(context.Background(), Config{URL: dir})
				if err != nil {
					b.Fatal(err)
				}
				neighbours(b, s)
				s.Close()
			}
		})
		b.Run("davit-warm", func(b *testing.B) {
			s := opened(b, Config{URL: dir})
			for b.Loop() {
				neighbours(b, s)
			}
		})
		b.Run("git", func(b *testing.B) {
			for b.Loop() {
				run(b, dir, "diff", "--name-only", "--no-renames", "HEAD~1", "HEAD")
			}
		})
		b.Run("go-git", func(b *testing.B) {
			for b.Loop() {
				r, err := git.PlainOpen(dir)
				if err != nil {
					b.Fatal(err)
				}
				head, err := r.Head()
				if err != nil {
					b.Fatal(err)
				}
				c, err := r.CommitObject(head.Hash())
				if err != nil {
					b.Fatal(err)
				}
				p, err := c.Parent(0)
				if err != nil {
					b.Fatal(err)
				}
				a, err := p.Tree()
				if err != nil {
					b.Fatal(err)
				}
				t, err := c.Tree()
				if err != nil {
					b.Fatal(err)
				}
				if changes, err := a.Diff(t); err != nil || len(changes) != 1 {
					b.Fatal(changes, err)
				}
			}
		})
	})
}

func each(b *testing.B, f func(b *testing.B, dir string)) {
	for name, teams := range map[string]bool{"teams": true, "flat": false} {
		b.Run(name, func(b *testing.B) { f(b, fleet(b, teams)) })
	}
}

func BenchmarkFirstParents(b *testing.B) {
	each(b, func(b *testing.B, dir string) {
		b.Run("davit", func(b *testing.B) {
			for b.Loop() {
				s := opened(b, Config{URL: dir})
				tip, err := s.Tip(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				err = s.FirstParents(b.Context(), tip, func(Commit, []string) (bool, error) { n++; return n < fleetCommits, nil })
				if err != nil || n != fleetCommits {
					b.Fatal(n, err)
				}
			}
		})
		b.Run("git", func(b *testing.B) {
			for b.Loop() {
				run(b, dir, "log", "--first-parent", "-m", "--no-renames", "--name-only", "--format=%H", fmt.Sprintf("-%d", fleetCommits))
			}
		})
	})
}

// BenchmarkReadAll reads all 40,000 files, as the registry does once when it starts.
func BenchmarkReadAll(b *testing.B) {
	each(b, func(b *testing.B, dir string) {
		for _, workers := range []int{1, 2, 8} {
			b.Run(fmt.Sprintf("davit-%d", workers), func(b *testing.B) {
				for b.Loop() {
					s := opened(b, Config{URL: dir})
					snap, _ := pairOf(b, s)
					names := make(chan string, 100)
					var wg sync.WaitGroup
					for range workers {
						wg.Go(func() {
							for name := range names {
								if _, err := snap.ReadFile(name); err != nil {
									b.Error(err)
								}
							}
						})
					}
					walk(b, snap, func(name string) { names <- name })
					close(names)
					wg.Wait()
				}
			})
		}
		b.Run("git", func(b *testing.B) {
			for b.Loop() {
				cmd := exec.Command("sh", "-c", "git ls-tree -r HEAD | cut -d' ' -f3 | cut -f1 | git cat-file --batch >/dev/null")
				cmd.Dir = dir
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatal(err, string(out))
				}
			}
		})
	})
}

func walk(b testing.TB, snap *Snapshot, f func(name string)) {
	err := fs.WalkDir(snap, ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			f(name)
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSnapshot is what the registry asks for most, warm.
func BenchmarkSnapshot(b *testing.B) {
	each(b, func(b *testing.B, dir string) {
		s := opened(b, Config{URL: dir})
		snap, _ := pairOf(b, s)
		name := placeOf(4242, strings.Contains(b.Name(), "teams")) + "/serving.yaml"
		for what, f := range map[string]func() error{
			"BlobHash": func() error { _, err := snap.BlobHash(name); return err },
			"Stat":     func() error { _, err := snap.Stat(name); return err },
			"ReadDir":  func() error { _, err := snap.ReadDir(filepath.Dir(name)); return err },
			"ReadFile": func() error { _, err := snap.ReadFile(name); return err },
			"Parent":   func() error { _, err := snap.ReadDir(filepath.Dir(filepath.Dir(name))); return err },
		} {
			b.Run(what, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := f(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	})
}

// BenchmarkWatch is the time from the end of `git update-ref` to Watch's call.
func BenchmarkWatch(b *testing.B) {
	r := newRepo(b)
	shas := []string{r.commit("one", "a", "1"), r.commit("two", "a", "2")}
	tips := watch(b, r.open("main"))
	await(b, tips, shas[1])
	var took time.Duration
	n := 0
	for b.Loop() {
		r.git("update-ref", "refs/heads/main", shas[n%2])
		took += await(b, tips, shas[n%2])
		n++
	}
	b.ReportMetric(float64(took.Microseconds())/float64(n), "µs/seen")
}

// BenchmarkFetch is the ref check and the fetch of one commit through `git http-backend`: in a session of
// davit's own, by go-git's Fetch, and by git itself.
func BenchmarkFetch(b *testing.B) {
	dir := fleet(b, true)
	r := &repo{t: b, dir: dir}
	srv := serve(b, r, "")
	next := 10 * fleetCommits
	promote := func() {
		next++
		cmd := exec.Command("git", "fast-import", "--quiet")
		cmd.Dir = dir
		text := release(next)
		cmd.Stdin = strings.NewReader(fmt.Sprintf("commit refs/heads/main\ncommitter Ada <ada@example.com> %d +0000\ndata 7\ncommit\nfrom refs/heads/main^0\nM 644 inline %s/production.yaml\ndata %d\n%s\n",
			1700000000+60*next, placeOf(next%fleetReleases, true), len(text), text))
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatal(err, string(out))
		}
	}
	measure := func(name string, fetch func() error) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				promote()
				b.StartTimer()
				if err := fetch(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	ctx := context.Background()
	s := opened(b, Config{URL: srv.url(""), Mirror: b.TempDir()})
	measure("davit", func() error { _, err := s.Fetch(ctx); return err })
	b.Run("davit-unchanged", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Fetch(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
	p := opened(b, Config{URL: srv.url(""), Mirror: b.TempDir()})
	measure("go-git", func() error { return p.mirror.porcelain(ctx, "main", nil) })
	plain := filepath.Join(b.TempDir(), "plain.git")
	run(b, ".", "clone", "-q", "--bare", srv.url(""), plain)
	measure("git", func() error { run(b, plain, "fetch", "-q", srv.url(""), "+main:main"); return nil })
}
