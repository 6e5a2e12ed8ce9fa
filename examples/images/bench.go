package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// bench is one run of everything.
type bench struct {
	dir, registry string
	tools         map[string]string
	runs          int
	rows          []row
}

// row is what one command took, the median over its runs.
type row struct {
	shape, scenario, command string
	usage
}

// usage is what one process took.
type usage struct {
	took, cpu time.Duration
	rss, anon int64 // bytes at most: resident, and of it what is not pages of the program's file
}

// model is a folder of files with random content, and the registry that describes it.
type model struct {
	dir   string
	files []string
	tars  []string // the same, one archive each: what crane append takes
}

func (b *bench) measure(ctx context.Context, files, size int) error {
	shape := fmt.Sprintf("%d × %d MiB", files, size)
	fmt.Fprintln(os.Stderr, "measuring", shape)
	m, err := b.generate(ctx, files, size)
	if err != nil {
		return err
	}
	defer os.RemoveAll(m.dir)
	samples := map[[2]string][]usage{}
	for i := range b.runs {
		repo := fmt.Sprintf("%s/r%x", b.registry, rand.Uint64())
		// A scenario is run by all commands before the next begins: what one leaves in the page cache, the next has too.
		for _, scenario := range []string{"first", "unchanged", "one file changed"} {
			if scenario == "one file changed" {
				if err := m.change(ctx, i); err != nil {
					return err
				}
			}
			commands := b.commands(m, repo, scenario, i)
			for j := range commands {
				c := commands[(i+j)%len(commands)] // none is always the first, or after the same one
				used, err := c.run(ctx)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", c.name, scenario, err)
				}
				key := [2]string{scenario, c.name}
				samples[key] = append(samples[key], used)
			}
		}
	}
	for _, scenario := range []string{"first", "unchanged", "one file changed"} {
		for _, name := range names {
			if s := samples[[2]string{scenario, name}]; len(s) > 0 {
				b.rows = append(b.rows, median(shape, scenario, name, s))
			}
		}
	}
	return nil
}

func median(shape, scenario, name string, s []usage) row {
	slices.SortFunc(s, func(a, b usage) int { return int(a.took - b.took) })
	mid := s[len(s)/2]
	return row{shape, scenario, name, mid}
}

// command is one process to be measured. Prepare is not.
type command struct {
	name    string
	dir     string
	args    []string
	prepare []string
}

const davitBuild, sha256sum, craneAppend, orasPush = "davit build", "sha256sum", "crane append", "oras push"

var names = []string{davitBuild, sha256sum, craneAppend, orasPush}

// commands are those of a scenario. davit is told the files' hashes when a version is written (davit add), as the others
// are not; that is its prepare and happens once for each version.
func (b *bench) commands(m *model, repo, scenario string, run int) []command {
	version := "v1"
	if scenario == "one file changed" {
		version = fmt.Sprintf("v2-%d", run)
	}
	davit := command{name: davitBuild, dir: m.dir, args: []string{b.tools["davit"], "build", "model@" + version}}
	if scenario != "unchanged" {
		davit.prepare = append([]string{b.tools["davit"], "add", "model", version}, m.files...)
	}
	if scenario == "first" {
		// Each run has its own place for images, and a registry without versions.
		davit.prepare = []string{"sh", "-c", `set -e
rm -rf models/model davit.yaml
printf 'apiVersion: davit.dev/v1alpha1\nkind: Registry\nspec: {images: %s}\n' "$0" > davit.yaml
"$@" > /dev/null`, repo + "/davit", b.tools["davit"], "add", "model", version}
		davit.prepare = append(davit.prepare, m.files...)
	}
	crane := []string{b.tools["crane"], "append", "--oci-empty-base", "-t", repo + "/crane:" + version}
	for _, t := range m.tars {
		crane = append(crane, "-f", t)
	}
	return []command{
		davit,
		{name: sha256sum, dir: m.dir, args: append([]string{"sha256sum"}, m.files...)},
		{name: craneAppend, dir: m.dir, args: crane},
		{name: orasPush, dir: m.dir, args: append([]string{b.tools["oras"], "push", "--plain-http", repo + "/oras:" + version}, m.files...)},
	}
}

func (c command) run(ctx context.Context) (usage, error) {
	if c.prepare != nil {
		cmd := exec.CommandContext(ctx, c.prepare[0], c.prepare[1:]...)
		cmd.Dir = c.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return usage{}, fmt.Errorf("preparing: %w\n%s", err, out)
		}
	}
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Dir = c.dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return usage{}, err
	}
	watching, ended := make(chan struct{}), make(chan struct{})
	var anon int64
	go func() {
		defer close(watching)
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case <-ended:
				tick.Stop()
				return
			case <-tick.C:
				anon = max(anon, anonymous(cmd.Process.Pid))
			}
		}
	}()
	err := cmd.Wait()
	took := time.Since(began)
	close(ended)
	<-watching
	if err != nil {
		return usage{}, fmt.Errorf("%w\n%s", err, out.Bytes())
	}
	used := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return usage{took, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), used.Maxrss << 10, anon}, nil
}

// anonymous is a process's RssAnon, see proc_pid_status(5); 0 when it has ended.
func anonymous(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "RssAnon:")
	var kib int64
	fmt.Sscan(rest, &kib)
	return kib << 10
}

// generate writes files of random content below an empty registry.
func (b *bench) generate(ctx context.Context, files, size int) (*model, error) {
	m := &model{dir: filepath.Join(b.dir, "model")}
	if err := os.MkdirAll(filepath.Join(m.dir, "weights"), 0o755); err != nil {
		return nil, err
	}
	random := rand.NewChaCha8([32]byte{1})
	chunk := make([]byte, 1<<20)
	for i := range files {
		name := fmt.Sprintf("weights/part-%02d.dat", i)
		f, err := os.Create(filepath.Join(m.dir, name))
		if err != nil {
			return nil, err
		}
		for range size {
			random.Read(chunk)
			if _, err := f.Write(chunk); err != nil {
				return nil, err
			}
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
		m.files, m.tars = append(m.files, name), append(m.tars, name+".tar")
		if err := m.pack(ctx, i); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *model) pack(ctx context.Context, i int) error {
	cmd := exec.CommandContext(ctx, "tar", "-cf", m.tars[i], m.files[i])
	cmd.Dir = m.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("packing %s: %w\n%s", m.files[i], err, out)
	}
	return nil
}

// change writes other bytes over the beginning of one file.
func (m *model) change(ctx context.Context, run int) error {
	f, err := os.OpenFile(filepath.Join(m.dir, m.files[0]), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(f, "run %d of %x", run, rand.Uint64()); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return m.pack(ctx, 0)
}

// table is what was measured, in Markdown.
func (b *bench) table() string {
	var t strings.Builder
	fmt.Fprintf(&t, "%d cores, the OCI registry on the same; medians of %d runs, files in the page cache. The archives that crane append takes were made before, "+
		"and so were the hashes in the ModelVersion (davit add, about a sha256sum).\n\n", runtime.NumCPU(), b.runs)
	t.WriteString("| model | scenario | command | time | CPU | RSS | of it anonymous |\n|---|---|---|---:|---:|---:|---:|\n")
	for _, r := range b.rows {
		fmt.Fprintf(&t, "| %s | %s | %s | %s | %s | %d MiB | %d MiB |\n", r.shape, r.scenario, r.command, seconds(r.took), seconds(r.cpu), r.rss>>20, r.anon>>20)
	}
	return t.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
