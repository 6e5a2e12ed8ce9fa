// Command demo tells davit's main story on real parts: a real Kubernetes, a real OCI registry, a Git repository
// made by the real git. As root on Linux pods run on a real node; elsewhere they are simulated, and the steps
// that need a running container are left out. It fails when a step is not as told.
//
// It types what a user would type, and knows davit only by its commands.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/davit-dev/davit/deploy/devcluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	d := &demo{real: runtime.GOOS == "linux" && os.Geteuid() == 0 && os.Getenv("DAVIT_DEMO_SIMULATED") == ""}
	if d.dir, err = os.MkdirTemp("", "davit-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(d.dir)
	defer func() {
		if d.cluster != nil {
			if stopErr := d.cluster.Stop(); err == nil {
				err = stopErr
			}
		}
	}()
	defer d.stopSync() // before its cluster goes
	began := time.Now()
	for _, step := range []struct {
		title string
		do    func(context.Context) error
		real  bool // needs containers that run
	}{
		{"Build davit and the example's server", d.build, false},
		{"Start a real Kubernetes and an OCI registry", d.start, false},
		{"A registry of models in Git: iris v1 in staging and production", d.init, false},
		{"davit sync brings v1 to the cluster", d.first, false},
		{"Ask the model: v1 is weak and takes a setosa for a versicolor", d.weak, true},
		{"A pull request's merge promotes v2 to production", d.promote, false},
		{"Ask again: v2 knows it", d.good, true},
		{"The damaged v3 is promoted, fails, and goes back by itself", d.damaged, true},
		{"git revert of v3 clears the hold; nothing changes in the cluster", d.revertDamaged, true},
		{"git revert -m 1 of v2's merge: v1 is back with its old digest", d.revertGood, false},
		{"Ask once more: v1 answers", d.weak, true},
		{"What runs, and what was", d.tell, false},
	} {
		if step.real && !d.real {
			fmt.Printf("\n== %s\n   left out: the pods are simulated and run no container\n", step.title)
			continue
		}
		fmt.Printf("\n== %s\n", step.title)
		at := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.title, err)
		}
		fmt.Printf("   took %s\n", time.Since(at).Round(10*time.Millisecond))
	}
	d.summary(time.Since(began))
	return d.play(ctx)
}

// play keeps everything up on a terminal.
func (d *demo) play(ctx context.Context) error {
	if !term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stdout.Fd())) {
		return nil
	}
	fmt.Printf("\nEverything stays up for playing; davit follows %s.\n  export KUBECONFIG=%s\n  %s -C %s status\nCtrl-C takes it down.\n",
		d.models(), d.cluster.Kubeconfig, d.davit(), d.models())
	<-ctx.Done()
	return nil
}

// start brings the cluster up.
func (d *demo) start(ctx context.Context) (err error) {
	cfg := devcluster.Config{Registry: true, GPUs: 8, Log: os.Stdout}
	if d.real {
		cfg.RealNode = true
	} else {
		fmt.Println("   not root on Linux: two simulated nodes with GPUs, whose pods become ready and run nothing")
		cfg.Nodes = 2
	}
	if d.cluster, err = devcluster.Start(ctx, cfg); err != nil {
		return err
	}
	fmt.Printf("   KUBECONFIG=%s  registry %s\n", d.cluster.Kubeconfig, d.cluster.Registry)
	return nil
}
