package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/davit-dev/davit/deploy/devcluster"
)

// demo is the story's state.
type demo struct {
	real    bool
	dir     string
	cluster *devcluster.Cluster
	times   []string

	sync  *exec.Cmd
	ended chan struct{}
	mu    sync.Mutex
	lines []string // what davit sync has printed
	read  int      // how many of them the story has passed
	more  chan struct{}
}

func (d *demo) davit() string  { return filepath.Join(d.dir, "davit") }
func (d *demo) models() string { return filepath.Join(d.dir, "models") }

// command prepares a command in the registry repository with the demo's cluster and a git identity.
func (d *demo) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	if _, err := os.Stat(d.models()); err == nil {
		cmd.Dir = d.models()
	}
	if d.cluster != nil {
		cmd.Env = append(cmd.Env, "KUBECONFIG="+d.cluster.Kubeconfig)
	}
	return cmd
}

// show runs a command as a user types it, and shows both what is typed and what comes back.
func (d *demo) show(ctx context.Context, name string, args ...string) error {
	fmt.Printf("   $ %s\n", strings.Join(append([]string{filepath.Base(name)}, quoted(args)...), " "))
	out, err := d.command(ctx, name, args...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		fmt.Print("     " + line)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 3 && name == d.davit() {
		return nil // plan: there are changes
	}
	return err
}

func quoted(args []string) (out []string) {
	for _, a := range args {
		if strings.ContainsAny(a, " {}\"") {
			a = "'" + a + "'"
		}
		out = append(out, a)
	}
	return out
}

// output is what a command prints.
func (d *demo) output(ctx context.Context, name string, args ...string) (string, error) {
	out, err := d.command(ctx, name, args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return "", fmt.Errorf("%s %s: %w", filepath.Base(name), strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// startSync runs davit sync in the background, as a user would in another terminal.
func (d *demo) startSync(ctx context.Context) error {
	fmt.Println("   $ davit sync &")
	d.sync = d.command(ctx, d.davit(), "sync")
	d.sync.Cancel = func() error { return d.sync.Process.Signal(os.Interrupt) }
	d.sync.WaitDelay = 10 * time.Second
	d.more, d.ended = make(chan struct{}, 1), make(chan struct{})
	r, w := io.Pipe()
	d.sync.Stdout, d.sync.Stderr = w, w
	if err := d.sync.Start(); err != nil {
		return err
	}
	go func() {
		_ = d.sync.Wait() // that it ended too early is seen by who waits for a line
		_ = w.Close()
	}()
	go func() {
		defer close(d.ended)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			fmt.Println("   | " + lines.Text())
			d.mu.Lock()
			d.lines = append(d.lines, lines.Text())
			d.mu.Unlock()
			select {
			case d.more <- struct{}{}:
			default:
			}
		}
	}()
	return nil
}

func (d *demo) stopSync() {
	if d.sync != nil && d.sync.Process != nil {
		_ = d.sync.Process.Signal(os.Interrupt)
		<-d.ended
		d.sync = nil
	}
}

// until waits for the next line of davit sync that matches, and says how long after since it came.
func (d *demo) until(ctx context.Context, pattern string, since time.Time) (time.Duration, error) {
	want := regexp.MustCompile(pattern)
	deadline := time.After(3 * time.Minute)
	for {
		d.mu.Lock()
		for d.read < len(d.lines) {
			line := d.lines[d.read]
			d.read++
			if want.MatchString(line) {
				d.mu.Unlock()
				return time.Since(since), nil
			}
		}
		d.mu.Unlock()
		select {
		case <-d.more:
		case <-d.ended:
			return 0, errors.New("davit sync ended")
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-deadline:
			return 0, fmt.Errorf("davit sync did not say %q in 3 minutes", pattern)
		}
	}
}

// edit replaces text in a file of the registry, as an editor does.
func (d *demo) edit(name, from, to string) error {
	file := filepath.Join(d.models(), name)
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !strings.Contains(string(data), from) {
		return fmt.Errorf("%s does not contain %q", name, from)
	}
	return os.WriteFile(file, []byte(strings.ReplaceAll(string(data), from, to)), 0o644)
}

func (d *demo) note(what string, took time.Duration) {
	d.times = append(d.times, fmt.Sprintf("%-52s %s", what, took.Round(10*time.Millisecond)))
}

func (d *demo) summary(total time.Duration) {
	fmt.Println("\n== Times (the example bakes for 5 s before it calls a release healthy)")
	for _, line := range d.times {
		fmt.Println("   " + line)
	}
	fmt.Printf("   %-52s %s\n", "the whole demo", total.Round(100*time.Millisecond))
}
