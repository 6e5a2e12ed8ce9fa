// Package devcluster starts a real Kubernetes on this machine, for tests and for trying davit out: etcd, API
// server, controller manager and scheduler, third-party APIs and their controllers, a gateway, simulated nodes, a real node
// that runs pods, and an OCI registry. It builds the binaries itself (Build) and runs each cluster under a
// supervisor process that takes everything down when its starter stops it or dies. It knows nothing of davit's
// other packages, and they know it only in their tests.
package devcluster

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Config says what to start. The zero value is a control plane alone: everything but running pods.
type Config struct {
	// Kubeconfig, when set, is a cluster of the user's own that stands in for one started here. Then only
	// Registry and Forge are started, if asked for.
	Kubeconfig string `json:"kubeconfig,omitempty"`
	// NoControlPlane leaves Kubernetes out; only Registry and Forge can be asked for with it.
	NoControlPlane bool `json:"noControlPlane,omitempty"`
	// Nodes is the number of simulated nodes (sim-0, sim-1, …), which run no code.
	Nodes int `json:"nodes,omitempty"`
	// GPUs is the nvidia.com/gpu capacity of each node, simulated or real.
	GPUs int `json:"gpus,omitempty"`
	// Stages are files of kwok Stages that make simulated pods fail, hang or take long.
	Stages []string `json:"stages,omitempty"`
	// RealNode adds a node that runs pods, image volumes included, and cluster DNS for them. It needs root on Linux.
	RealNode bool `json:"realNode,omitempty"`
	// Registry adds an OCI registry.
	Registry bool `json:"registry,omitempty"`
	// Forge adds a forge: Gitea, with Git over http and Git LFS. Its administrator is ForgeUser.
	Forge bool `json:"forge,omitempty"`
	// APIs are third-party APIs whose CRDs are installed: of APIs().
	APIs []string `json:"apis,omitempty"`
	// Controllers are the real controllers that are started, of Controllers(); each brings its API. "gateway" serves
	// PublicGateway.
	Controllers []string `json:"controllers,omitempty"`
	// Dir holds the cluster's state; it is made when it does not exist. Logs and the registry's blobs stay in it
	// after Stop. Empty means a temporary folder that Stop removes.
	Dir string `json:"dir,omitempty"`
	// Log receives progress, such as a first build that takes minutes. Nil drops it.
	Log io.Writer `json:"-"`
}

func (c Config) check() error {
	var faults []error
	if c.NoControlPlane && (c.Nodes > 0 || c.RealNode) {
		faults = append(faults, errors.New("nodes need a control plane"))
	}
	if c.Kubeconfig != "" && (c.Nodes > 0 || c.RealNode) {
		faults = append(faults, errors.New("no node is added to a cluster of your own: leave Kubeconfig, or Nodes and RealNode, empty"))
	}
	if err := c.checkAPIs(); err != nil {
		faults = append(faults, err)
	}
	if c.Nodes < 0 || c.GPUs < 0 {
		faults = append(faults, errors.New("nodes and GPUs can't be negative"))
	}
	if c.RealNode && os.Geteuid() != 0 {
		faults = append(faults, errors.New("a real node needs root"))
	}
	return errors.Join(faults...)
}

func (c Config) controlPlane() bool { return !c.NoControlPlane && c.Kubeconfig == "" }

func (c Config) parts() []Part {
	var parts []Part
	if c.Registry {
		parts = append(parts, PartRegistry)
	}
	if c.Forge {
		parts = append(parts, PartForge)
	}
	if c.controlPlane() {
		parts = append(parts, PartControlPlane)
	}
	if c.Nodes > 0 {
		parts = append(parts, PartKwok)
	}
	if c.RealNode {
		parts = append(parts, PartNode)
	}
	if c.gateway() {
		parts = append(parts, PartGateway)
	}
	for _, t := range c.managers() {
		parts = append(parts, t.manager.part)
	}
	return parts
}

// Cluster is a running cluster. Its fields do not change; its methods may be called concurrently.
type Cluster struct {
	Kubeconfig  string         // path of an administrator's kubeconfig; empty without a cluster
	Registry    string         // host:port on loopback, plain http; empty without a registry
	Forge       string         // URL of the forge; empty without one
	Gateway     string         // host:port of PublicGateway's listener on loopback, plain http; empty without a gateway
	PodRegistry string         // the same registry as pods on the real node reach it; empty without both
	PodForge    string         // the same forge as pods on the real node reach it; empty without both
	RealNode    string         // the real node's name; empty without one
	Dir         string         // the state folder; <Dir>/logs/<process>.log
	PIDs        map[string]int // what runs, by name, the supervisor included

	binaries map[string]string
	temp     bool
	stdin    io.Closer
	ended    chan struct{}

	search sync.Once
	told   error // what the search for planted credentials found
}

// ready is the supervisor's only line of output.
type ready struct {
	Error       string         `json:"error,omitempty"`
	Kubeconfig  string         `json:"kubeconfig"`
	Registry    string         `json:"registry"`
	Forge       string         `json:"forge"`
	Gateway     string         `json:"gateway"`
	PodRegistry string         `json:"podRegistry"`
	PodForge    string         `json:"podForge"`
	RealNode    string         `json:"realNode"`
	PIDs        map[string]int `json:"pids"`
}

// Start builds what is missing and starts a cluster; it returns when the API server, the registry, the gateway and
// all nodes are ready. ctx bounds the start alone: the cluster runs until Stop, or until this process ends in whatever
// way. Several clusters can run at once.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("starting devcluster: %w", err)
	}
	if cfg.Kubeconfig != "" && !cfg.Registry && !cfg.Forge {
		return &Cluster{Kubeconfig: cfg.Kubeconfig, Dir: cfg.Dir}, nil
	}
	if _, err := Sweep(ctx); err != nil && cfg.Log != nil {
		fmt.Fprintln(cfg.Log, err) // someone else's leftovers must not stop this start
	}
	binaries, err := Build(ctx, cfg.Log, cfg.parts()...)
	if err != nil {
		return nil, err
	}
	cfg.Stages = slices.Clone(cfg.Stages)
	c := &Cluster{Dir: cfg.Dir, binaries: binaries, temp: cfg.Dir == "", ended: make(chan struct{})}
	if err := c.makeDir(); err != nil {
		return nil, err
	}
	if err := c.supervise(ctx, cfg); err != nil {
		if c.temp { // no supervisor, or one that has ended, is left to remove it
			err = errors.Join(err, os.RemoveAll(c.Dir))
		}
		return nil, fmt.Errorf("starting devcluster: %w", err)
	}
	return c, nil
}

// StartRegistry starts an OCI registry alone. Its blobs are kept in dir, or go with Stop when dir is empty.
func StartRegistry(ctx context.Context, dir string) (*Cluster, error) {
	return Start(ctx, Config{NoControlPlane: true, Registry: true, Dir: dir})
}

func (c *Cluster) makeDir() error {
	var err error
	if c.temp {
		c.Dir, err = os.MkdirTemp("", "devcluster-") // short: a Unix socket's path has 108 bytes at most
		return err
	}
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return err
	}
	return os.MkdirAll(c.Dir, 0o755)
}

// supervise starts the supervisor in a session of its own and waits for its line. Its standard input is a pipe
// whose other end this process holds: the kernel closes it when this process dies.
func (c *Cluster) supervise(ctx context.Context, cfg Config) error {
	binary := filepath.Join(c.Dir, "devcluster")
	if err := compileOwn(ctx, packagePath+"/cmd/devcluster", binary); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(c.Dir, "supervisor.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(binary, "supervise") // not CommandContext: it must outlive ctx
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.stdin = stdin
	lines := make(chan string, 1)
	go func() {
		defer close(c.ended)
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		lines <- line
		_ = cmd.Wait()
	}()
	cfg.Dir = c.Dir
	for i, path := range cfg.Stages { // kwok runs in the state folder
		if cfg.Stages[i], err = filepath.Abs(path); err != nil {
			return errors.Join(err, c.Stop())
		}
	}
	o := order{Config: cfg, Binaries: c.binaries, Temp: c.temp, Audit: testing.Testing()}
	if cfg.Forge {
		if o.ForgeRoot, err = forgeRoot(ctx); err != nil {
			return errors.Join(err, c.Stop())
		}
	}
	if o.Modules, err = modules(ctx, cfg.apis()); err != nil {
		return errors.Join(err, c.Stop())
	}
	if err := json.NewEncoder(stdin).Encode(o); err != nil {
		return errors.Join(err, c.Stop())
	}
	select {
	case line := <-lines:
		err = c.take(line)
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		err = fmt.Errorf("%w%s", err, tailFile(log.Name()))
		return errors.Join(err, c.Stop())
	}
	return nil
}

func (c *Cluster) take(line string) error {
	var r ready
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		return fmt.Errorf("reading the supervisor's answer %q: %w", line, err)
	}
	if r.Error != "" {
		return errors.New(r.Error)
	}
	c.Kubeconfig, c.Registry, c.PodRegistry, c.RealNode, c.PIDs = r.Kubeconfig, r.Registry, r.PodRegistry, r.RealNode, r.PIDs
	c.Forge, c.PodForge, c.Gateway = r.Forge, r.PodForge, r.Gateway
	return nil
}

// Bin returns the path of one of the binaries the cluster was built from, such as kubectl or ctr, or "" for one
// that it did not need.
func (c *Cluster) Bin(name string) string { return c.binaries[name] }

// Done is closed when the supervisor has ended; nil, which never is, for a cluster of the user's own.
func (c *Cluster) Done() <-chan struct{} { return c.ended }

// Stop takes the cluster down and returns when all of it is gone: pods, processes, mounts, the bridge, and a
// temporary Dir. Calls after the first wait and return the same. In a test's program it is an error that what was written, to
// wherever, holds a credential that a test planted.
func (c *Cluster) Stop() error {
	if c.ended == nil {
		return nil
	}
	c.search.Do(func() {
		if testing.Testing() {
			c.told = c.planted()
		}
	})
	return errors.Join(c.told, c.stop())
}

func (c *Cluster) stop() error {
	c.stdin.Close()
	select {
	case <-c.ended:
	case <-time.After(time.Minute):
		return errors.New("stopping devcluster: the supervisor did not end within a minute; end it and run devcluster sweep")
	}
	return c.sweepOwn()
}

// sweepOwn finishes what a supervisor that was killed did not do.
func (c *Cluster) sweepOwn() error {
	ctx, cancel := context.WithTimeout(context.Background(), 45*time.Second)
	defer cancel()
	if _, err := sweep(ctx, func(r *record) bool { return r.Dir == c.Dir }); err != nil {
		return err
	}
	if c.temp {
		return os.RemoveAll(c.Dir)
	}
	return nil
}
