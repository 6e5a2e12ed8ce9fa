package stage

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/davit-dev/davit/deploy/devcluster"
)

// Step is one of a story's.
type Step struct {
	Title string
	Do    func(context.Context) error
	// Real says that the step needs containers that run.
	Real bool
}

// Main tells a story and ends the process. On a terminal everything stays up afterwards.
func Main(steps func(*Stage) []Step) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := tell(ctx, steps)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

func tell(ctx context.Context, steps func(*Stage) []Step) (err error) {
	s := &Stage{Real: runtime.GOOS == "linux" && os.Geteuid() == 0 && os.Getenv("DAVIT_DEMO_SIMULATED") == ""}
	if s.Dir, err = os.MkdirTemp("", "davit-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(s.Dir)
	defer func() {
		if s.Cluster != nil {
			if stopErr := s.Cluster.Stop(); err == nil {
				err = stopErr
			}
		}
	}()
	defer s.StopSync() // before its cluster goes
	began := time.Now()
	for _, step := range steps(s) {
		if step.Real && !s.Real {
			fmt.Printf("\n== %s\n   left out: the pods are simulated and run no container\n", step.Title)
			continue
		}
		fmt.Printf("\n== %s\n", step.Title)
		at := time.Now()
		if err := step.Do(ctx); err != nil {
			s.Diagnose()
			return fmt.Errorf("%s: %w", step.Title, err)
		}
		fmt.Printf("   took %s\n", time.Since(at).Round(10*time.Millisecond))
	}
	s.summary(time.Since(began))
	return s.play(ctx)
}

// Diagnose shows what a story that failed left behind: it goes with its cluster.
func (s *Stage) Diagnose() {
	if s.Cluster == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_ = s.Show(ctx, s.Cluster.Bin("kubectl"), "get", "nodes,pods", "-A", "-o", "wide")
	_ = s.Show(ctx, s.Cluster.Bin("kubectl"), "get", "events", "-A", "--sort-by=.lastTimestamp")
	if log, err := os.ReadFile(filepath.Join(s.Cluster.Dir, "supervisor.log")); err == nil && len(log) > 0 {
		fmt.Printf("   the cluster's supervisor:\n%s\n", log)
	}
}

// play keeps everything up on a terminal.
func (s *Stage) play(ctx context.Context) error {
	if !term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stdout.Fd())) {
		return nil
	}
	fmt.Printf("\nEverything stays up for playing; the registry is in %s.\n  export KUBECONFIG=%s\n  %s -C %s status\nCtrl-C takes it down.\n",
		s.Models(), s.Cluster.Kubeconfig, s.Davit(), s.Models())
	<-ctx.Done()
	return nil
}

// Start brings the cluster up, with one real node or as many simulated ones as cfg says, two if it says none.
func (s *Stage) Start(ctx context.Context, cfg devcluster.Config) (err error) {
	cfg.Registry, cfg.Log = true, os.Stdout
	switch {
	case s.Real && cfg.Nodes == 0:
		cfg.RealNode = true
	case cfg.Nodes == 0:
		fmt.Println("   not root on Linux: two simulated nodes with GPUs, whose pods become ready and run nothing")
		cfg.Nodes = 2
	}
	if s.Cluster, err = devcluster.Start(ctx, cfg); err != nil {
		return err
	}
	fmt.Printf("   KUBECONFIG=%s  registry %s\n", s.Cluster.Kubeconfig, s.Cluster.Registry)
	return nil
}

// Build builds davit, and programs that are to run in pods, by the path of their package, as <Dir>/<name>.
func (s *Stage) Build(ctx context.Context, programs map[string]string) error {
	if err := s.Show(ctx, "go", "build", "-o", s.Davit(), "./cmd/davit"); err != nil {
		return err
	}
	for name, pkg := range programs {
		if err := s.buildStatic(ctx, name, pkg); err != nil {
			return err
		}
	}
	return nil
}

// buildStatic builds a program for an image that has nothing else, as <Dir>/<name>.
func (s *Stage) buildStatic(ctx context.Context, name, pkg string) error {
	cmd := s.Command(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(s.Dir, name), pkg)
	cmd.Dir = "" // of the repository, not of the registry's
	cmd.Env = append(cmd.Env, "CGO_ENABLED=0", "GOOS=linux")
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// user is who programs run as in pods: none that is root.
const user = "65532"

// PushDavit builds davit's own image, for this machine's architecture alone, and pushes it: what its pod runs, and a
// training's publisher. It returns the reference by digest.
func (s *Stage) PushDavit(ctx context.Context, repository string) (ref string, err error) {
	cmd := s.Command(ctx, "go", "run", "./deploy/image", "--to", s.Cluster.Registry+"/"+repository+":demo", "--platforms", "linux/"+runtime.GOARCH)
	cmd.Dir, cmd.Stderr = "", os.Stderr // of the repository, not of the registry's
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("making davit's image: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Push makes an image of a program that Build built, with the program at path at, and pushes it. It returns the
// reference by digest.
func (s *Stage) Push(ctx context.Context, program, repository, at string) (ref string, err error) {
	data, err := os.ReadFile(filepath.Join(s.Dir, program))
	if err != nil {
		return "", err
	}
	image, err := devcluster.NewImageAs(user, map[string][]byte{at: data}, at)
	if err != nil {
		return "", err
	}
	if err := image.Push(ctx, s.Cluster.Registry, repository, "demo"); err != nil {
		return "", err
	}
	return s.Cluster.Registry + "/" + repository + "@" + image.Digest(), nil
}

// Copy makes the registry's folder from an example's.
func (s *Stage) Copy(example string) error {
	if err := os.CopyFS(s.Models(), os.DirFS(filepath.Join("examples", example, "registry"))); err != nil {
		return err
	}
	address := s.Cluster.Registry
	if s.Real {
		address = s.Cluster.PodRegistry // trainings' pods push there too
	}
	return s.Edit("davit.yaml", "127.0.0.1:5000", address)
}

// Init makes the registry's folder a Git repository, validates it, and installs davit's CRDs.
func (s *Stage) Init(ctx context.Context, message string) error {
	return s.All(ctx,
		[]string{"git", "init", "-q", "-b", "main"},
		[]string{"git", "add", "."},
		[]string{"git", "commit", "-qm", message},
		[]string{s.Davit(), "validate"},
		[]string{s.Davit(), "install", "--crds"},
	)
}

// All shows commands one after the other.
func (s *Stage) All(ctx context.Context, commands ...[]string) error {
	for _, c := range commands {
		if err := s.Show(ctx, c[0], c[1:]...); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(c, " "), err)
		}
	}
	return nil
}
