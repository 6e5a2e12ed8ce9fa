package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/examples/scale/controller"
	"github.com/davit-dev/davit/examples/scale/generate"
	"github.com/davit-dev/davit/reconciler/cluster"
)

// world is a fresh cluster, with davit's CRDs installed, a registry of releases, and the controller while it runs.
type world struct {
	dir      string
	profiles string // folder for the controller's CPU profiles; empty for none
	dev      *devcluster.Cluster
	rest     *rest.Config
	dynamic  dynamic.Interface
	repo     *repository
	davit    *process
}

// newWorld starts everything but the controller. The caller closes what it returns, also beside an error.
func newWorld(ctx context.Context, o generate.Options) (w *world, err error) {
	w = &world{}
	if w.dir, err = os.MkdirTemp("", "davit-scale-"); err != nil {
		return w, err
	}
	if err := w.startCluster(ctx); err != nil {
		return w, err
	}
	say("generating %d releases, layout %s", o.Releases, o.Layout)
	o.Images = w.dev.Registry + "/models"
	w.repo, err = newRepository(ctx, filepath.Join(w.dir, "registry"), o)
	return w, err
}

// startCluster starts a cluster and installs davit's CRD.
func (w *world) startCluster(ctx context.Context) (err error) {
	say("starting a cluster")
	if w.dev, err = devcluster.Start(ctx, devcluster.Config{Nodes: nodes, Registry: true, Log: os.Stderr}); err != nil {
		return err
	}
	if w.rest, err = clientcmd.BuildConfigFromFlags("", w.dev.Kubeconfig); err != nil {
		return err
	}
	w.rest.QPS = -1 // no limit
	w.rest.WarningHandler = rest.NoWarnings{}
	if w.dynamic, err = dynamic.NewForConfig(w.rest); err != nil {
		return err
	}
	target, err := cluster.New(ctx, cluster.Config{REST: w.rest})
	if err != nil {
		return err
	}
	_, err = target.Install(ctx)
	return err
}

// nodes are simulated; one has room for 100,000 pods, and several can make kwok crash at its start.
const nodes = 1

// emptyCluster puts a fresh cluster with an empty namespace in the place of the one there is.
func (w *world) emptyCluster(ctx context.Context) error {
	if err := w.dev.Stop(); err != nil {
		return err
	}
	if err := w.startCluster(ctx); err != nil {
		return err
	}
	if err := w.namespace(ctx); err != nil {
		return err
	}
	return w.quiet(ctx, time.Minute)
}

func (w *world) close() error {
	var errs []error
	if w.davit != nil {
		errs = append(errs, w.davit.stop())
	}
	if w.dev != nil {
		errs = append(errs, w.dev.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(w.dir))...)
}

// start starts the controller; once ends it when the branch's tip is settled.
func (w *world) start(once bool) error { return w.startWith(controller.Config{Once: once}) }

func (w *world) startWith(cfg controller.Config) (err error) {
	cfg.Kubeconfig = w.dev.Kubeconfig
	if cfg.Repository == "" {
		cfg.Repository = w.repo.dir
	}
	if w.profiles != "" {
		cfg.Profile = filepath.Join(w.profiles, fmt.Sprintf("%d-%s.pprof", len(w.repo.releases), time.Now().Format("150405")))
	}
	w.davit, err = startProcess(cfg, w.logFile())
	return err
}

func (w *world) logFile() string { return filepath.Join(w.dir, "controller.log") }

// logTail is the end of the controller's log, for an error: the file goes with the world.
func (w *world) logTail() string {
	data, err := os.ReadFile(w.logFile())
	if err != nil || len(data) == 0 {
		return ""
	}
	return "\nthe controller's log ends with\n" + string(data[max(0, len(data)-4000):])
}

// stop ends the controller.
func (w *world) stop() error {
	err := w.davit.stop()
	w.davit = nil
	return err
}

// quiet waits until the cluster and the controller have next to nothing left to do, or gives up: a measurement
// that begins then says what it costs, not what was left over from the one before.
func (w *world) quiet(ctx context.Context, limit time.Duration) error {
	for end := time.Now().Add(limit); ; {
		before := w.cpu()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
		if used := w.cpu() - before; used < 150*time.Millisecond {
			return nil
		}
		if time.Now().After(end) {
			say("the cluster is still busy after %s; going on", limit)
			return nil
		}
	}
}

// cpu is what all processes of the cluster and the controller have used.
func (w *world) cpu() (total time.Duration) {
	for _, pid := range w.dev.PIDs {
		total += cpuOf(pid)
	}
	if w.davit != nil {
		total += cpuOf(w.davit.cmd.Process.Pid)
	}
	return total
}

// say prints a line for whoever waits.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format(time.TimeOnly)+" "+format+"\n", args...)
}
