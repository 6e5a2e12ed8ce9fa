// Package stage is what the examples' demos stand on: a real cluster and registry, a Git repository made from an
// example's folder, davit built and typed as a user types it, and a story that is told step by step and fails when a
// step is not as told. It knows davit only by its commands.
package stage

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

// Stage is a story's state.
type Stage struct {
	// Real says that pods run on a real node; else they are simulated, become ready and run nothing.
	Real    bool
	Dir     string // a temporary folder
	Cluster *devcluster.Cluster
	Remark  string // is said beside the times at the end
	times   []string

	sync  *exec.Cmd
	ended chan struct{}
	mu    sync.Mutex
	lines []string // what davit sync has printed
	read  int      // how many of them the story has passed
	more  chan struct{}
}

// Davit is the path of the davit that the story runs.
func (s *Stage) Davit() string { return filepath.Join(s.Dir, "davit") }

// Models is the registry repository.
func (s *Stage) Models() string { return filepath.Join(s.Dir, "models") }

// Command prepares a command in the registry repository with the demo's cluster and a git identity.
func (s *Stage) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	if _, err := os.Stat(s.Models()); err == nil {
		cmd.Dir = s.Models()
	}
	if s.Cluster != nil {
		cmd.Env = append(cmd.Env, "KUBECONFIG="+s.Cluster.Kubeconfig)
	}
	return cmd
}

// Show runs a command as a user types it, and shows both what is typed and what comes back.
func (s *Stage) Show(ctx context.Context, name string, args ...string) error {
	_, err := s.show(ctx, name, args...)
	return err
}

// Expect is Show that fails unless the output has every one of the patterns.
func (s *Stage) Expect(ctx context.Context, patterns []string, name string, args ...string) error {
	out, err := s.show(ctx, name, args...)
	if err != nil {
		return err
	}
	for _, pattern := range patterns {
		if !regexp.MustCompile(`(?m)` + pattern).MatchString(out) {
			return fmt.Errorf("%s %s does not say %q", filepath.Base(name), strings.Join(args, " "), pattern)
		}
	}
	return nil
}

func (s *Stage) show(ctx context.Context, name string, args ...string) (string, error) {
	fmt.Printf("   $ %s\n", strings.Join(append([]string{filepath.Base(name)}, quoted(args)...), " "))
	out, err := s.Command(ctx, name, args...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		fmt.Print("     " + line)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 3 && name == s.Davit() {
		err = nil // plan: there are changes
	}
	return string(out), err
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

// Output is what a command prints.
func (s *Stage) Output(ctx context.Context, name string, args ...string) (string, error) {
	out, err := s.Command(ctx, name, args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return "", fmt.Errorf("%s %s: %w", filepath.Base(name), strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// StartSync runs davit sync in the background, as a user would in another terminal.
func (s *Stage) StartSync(ctx context.Context, flags ...string) error {
	args := append([]string{"sync"}, flags...)
	fmt.Printf("   $ davit %s &\n", strings.Join(args, " "))
	s.sync = s.Command(ctx, s.Davit(), args...)
	s.sync.Cancel = func() error { return s.sync.Process.Signal(os.Interrupt) }
	s.sync.WaitDelay = 10 * time.Second
	s.more, s.ended = make(chan struct{}, 1), make(chan struct{})
	r, w := io.Pipe()
	s.sync.Stdout, s.sync.Stderr = w, w
	if err := s.sync.Start(); err != nil {
		return err
	}
	go func() {
		_ = s.sync.Wait() // that it ended too early is seen by who waits for a line
		_ = w.Close()
	}()
	go func() {
		defer close(s.ended)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			fmt.Println("   | " + lines.Text())
			s.mu.Lock()
			s.lines = append(s.lines, lines.Text())
			s.mu.Unlock()
			select {
			case s.more <- struct{}{}:
			default:
			}
		}
	}()
	return nil
}

// StopSync ends davit sync.
func (s *Stage) StopSync() {
	if s.sync != nil && s.sync.Process != nil {
		_ = s.sync.Process.Signal(os.Interrupt)
		<-s.ended
		s.sync = nil
	}
}

// Until waits for the next line of davit sync that matches, and says how long after since it came.
func (s *Stage) Until(ctx context.Context, pattern string, since time.Time) (time.Duration, error) {
	want := regexp.MustCompile(pattern)
	deadline := time.After(3 * time.Minute)
	for {
		s.mu.Lock()
		for s.read < len(s.lines) {
			line := s.lines[s.read]
			s.read++
			if want.MatchString(line) {
				s.mu.Unlock()
				return time.Since(since), nil
			}
		}
		s.mu.Unlock()
		select {
		case <-s.more:
		case <-s.ended:
			return 0, errors.New("davit sync ended")
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-deadline:
			return 0, fmt.Errorf("davit sync did not say %q in 3 minutes", pattern)
		}
	}
}

// Edit replaces text in a file of the registry, as an editor does.
func (s *Stage) Edit(name, from, to string) error {
	file := filepath.Join(s.Models(), name)
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !strings.Contains(string(data), from) {
		return fmt.Errorf("%s does not contain %q", name, from)
	}
	return os.WriteFile(file, []byte(strings.ReplaceAll(string(data), from, to)), 0o644)
}

// Note keeps a time for the end.
func (s *Stage) Note(what string, took time.Duration) {
	s.times = append(s.times, fmt.Sprintf("%-52s %s", what, took.Round(10*time.Millisecond)))
}

func (s *Stage) summary(total time.Duration) {
	fmt.Println("\n== Times" + s.Remark)
	for _, line := range s.times {
		fmt.Println("   " + line)
	}
	fmt.Printf("   %-52s %s\n", "the whole demo", total.Round(100*time.Millisecond))
}
