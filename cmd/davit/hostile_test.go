package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/davit-dev/davit/reconciler/hostile"
)

// What one attack may cost davit validate beyond a sound registry: processor time, and memory at its peak.
const (
	attackTime   = time.Second
	attackMemory = 64 << 20
)

var updateAttacks = flag.Bool("update-attacks", false, "write what davit validate says of each attack into the corpus")

// measured is davit, which leaves the peak of its memory, VmHWM in KiB, in a file: a child's rusage has its parent's, too.
func measured() {
	debug.SetGCPercent(gcPercent)
	code := run(os.Args[1:], os.Stdout, os.Stderr)
	status, err := os.ReadFile("/proc/self/status")
	if err == nil {
		_, rest, _ := strings.Cut(string(status), "VmHWM:")
		err = os.WriteFile(os.Getenv("DAVIT_PEAK"), []byte(strings.Fields(rest)[0]), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// TestValidateAttacks: davit validate refuses every attack by its place, in bounded time and memory, as it is committed, and
// links in a worktree too.
func TestValidateAttacks(t *testing.T) {
	t.Parallel()
	attacks, err := hostile.Corpus()
	if err != nil {
		t.Fatal(err)
	}
	base := newAttacked(t)
	base.attack(&hostile.Attack{})
	sound := base.validate("--rev", "HEAD")
	if sound.code != 0 {
		t.Fatalf("the sound registry: %s", sound.said)
	}
	for batch := range 2 {
		t.Run(strconv.Itoa(batch), func(t *testing.T) {
			t.Parallel()
			w := newAttacked(t)
			for i, a := range attacks {
				if i%2 == batch {
					t.Run(a.Name, func(t *testing.T) {
						w.t = t
						w.attack(a)
						w.refuses(a, sound)
					})
				}
			}
		})
	}
}

// attacked is a repository that attacks are committed to.
type attacked struct {
	t   *testing.T
	dir string
}

func newAttacked(t *testing.T) *attacked {
	w := &attacked{t, t.TempDir()}
	if _, err := w.git("", "init", "-q", "-b", "main"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.git("", "commit", "-q", "--allow-empty", "-m", "begin"); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *attacked) git(input string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Stdin = w.dir, strings.NewReader(input)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("git %s: %w: %s", args[0], err, out)
	}
	return strings.TrimSuffix(string(out), "\n"), err
}

// attack commits the example's registry with an attack.
func (w *attacked) attack(a *hostile.Attack) {
	w.t.Helper()
	entries, err := os.ReadDir(w.dir)
	for _, e := range entries {
		if e.Name() != ".git" {
			err = errors.Join(err, os.RemoveAll(filepath.Join(w.dir, e.Name())))
		}
	}
	if err := errors.Join(err, os.CopyFS(w.dir, os.DirFS("../../examples/iris/registry")), a.Lay(w.dir), a.Commit(w.git, a.Name)); err != nil {
		w.t.Fatal(err)
	}
}

// validated is what one run of davit validate came to.
type validated struct {
	said string
	code int
	time time.Duration
	peak int
}

func (w *attacked) validate(args ...string) validated {
	w.t.Helper()
	peak := filepath.Join(w.t.TempDir(), "peak")
	cmd := exec.Command("davit-measured", append([]string{"validate", "-C", w.dir}, args...)...)
	cmd.Env = append(os.Environ(), "DAVIT_PEAK="+peak, "GIT_CONFIG_GLOBAL=/dev/null")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		w.t.Fatal(err)
	}
	data, err := os.ReadFile(peak)
	if err != nil {
		w.t.Fatalf("%v: %s", err, errs.String())
	}
	kib, err := strconv.Atoi(string(data))
	if err != nil {
		w.t.Fatal(err)
	}
	v := validated{out.String(), cmd.ProcessState.ExitCode(), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), kib << 10}
	if v.code != 0 && v.code != exitInvalid {
		v.said += errs.String()
	}
	return v
}

// refuses holds what davit validate says of an attack against what it should.
func (w *attacked) refuses(a *hostile.Attack, sound validated) {
	w.t.Helper()
	committed := w.validate("--rev", "HEAD")
	if *updateAttacks {
		w.update(a, committed)
	}
	all := []validated{committed}
	if a.Linked() {
		all = append(all, w.validate())
	}
	for i, v := range all {
		lines := strings.Split(strings.TrimSpace(v.said), "\n")
		for _, text := range a.Want {
			want, err := a.Text(w.dir, text)
			if err != nil {
				w.t.Fatal(err)
			}
			if !slices.Contains(lines, want) || v.code != exitInvalid {
				w.t.Errorf("%s: it says, with exit code %d:\n%.2000s\nwant:\n%s", []string{"committed", "in a worktree"}[i], v.code, v.said, want)
			}
		}
		if len(v.said) > 16<<10 {
			w.t.Errorf("it says %d bytes", len(v.said))
		}
		// The race detector makes all of it slower.
		if v.time-sound.time > attackTime+2*sound.time || v.peak-sound.peak > attackMemory {
			w.t.Errorf("it took %v and %d MiB, a sound registry %v and %d MiB", v.time, v.peak>>20, sound.time, sound.peak>>20)
		}
		w.t.Logf("%v, %d MiB more than a sound registry", v.time-sound.time, (v.peak-sound.peak)>>20)
	}
}

func (w *attacked) update(a *hostile.Attack, v validated) {
	name := filepath.Join("../../reconciler/hostile/corpus", a.Name+".txtar")
	data, err := os.ReadFile(name)
	if err != nil {
		w.t.Fatal(err)
	}
	archive := txtar.Parse(data)
	archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
	if v.code != 0 {
		archive.Files = append(archive.Files, txtar.File{Name: "want", Data: []byte(strings.ReplaceAll(v.said, "<<", `<<"<<">>`))})
	}
	if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
		w.t.Fatal(err)
	}
}
