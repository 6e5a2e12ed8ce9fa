package devcluster

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// order is what the starter asks the supervisor for, one line of JSON on its standard input.
type order struct {
	Config   Config            `json:"config"`
	Binaries map[string]string `json:"binaries"`
	Temp     bool              `json:"temp"`
	Audit    bool              `json:"audit"`
	// ForgeRoot is the folder of the forge's templates.
	ForgeRoot string `json:"forgeRoot"`
	// Modules are the folders, by an API's name, of the modules that third-party APIs come from.
	Modules map[string]string `json:"modules"`
}

// supervisor is the process that owns a cluster's children.
type supervisor struct {
	config    Config
	binaries  map[string]string
	forgeRoot string
	modules   map[string]string
	audit     bool
	net       network
	record    *record
	children  []*process // in the order of start
	proxies   []io.Closer
	real      *realNode
}

// Supervise is the supervisor's whole life: it reads an order from in, starts the cluster, writes one line of
// JSON to out, waits until in ends (its starter stopped it or died) or a signal comes, and takes all down.
// Only cmd/devcluster calls it.
func Supervise(ctx context.Context, in io.Reader, out io.Writer) error {
	// The starter may die at any moment; its closed pipe must not end the supervisor before it has cleaned up.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)
	reader := bufio.NewReader(in)
	line, err := reader.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("reading the order: %w", err)
	}
	var o order
	if err := json.Unmarshal(line, &o); err != nil {
		return fmt.Errorf("reading the order: %w", err)
	}
	ctx, cancel := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, reader)
		cancel()
	}()
	s, err := newSupervisor(o)
	if err != nil {
		return err
	}
	answer, err := s.up(ctx)
	if err != nil {
		answer = ready{Error: err.Error()}
	}
	err = errors.Join(err, json.NewEncoder(out).Encode(answer))
	if err == nil {
		s.watch(ctx)
	}
	return errors.Join(err, s.down())
}

// watch says which children end before ctx does; its standard error is supervisor.log.
func (s *supervisor) watch(ctx context.Context) {
	for _, p := range s.children {
		go func() {
			select {
			case <-ctx.Done():
			case <-p.done:
				fmt.Fprintf(os.Stderr, "%s ended: %s\n", p.name, tailFile(p.log))
			}
		}()
	}
	<-ctx.Done()
}

func newSupervisor(o order) (*supervisor, error) {
	random := make([]byte, 3)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	s := &supervisor{config: o.Config, binaries: o.Binaries, forgeRoot: o.ForgeRoot, modules: o.Modules, audit: o.Audit}
	s.record = &record{ID: hex.EncodeToString(random), Dir: o.Config.Dir, Keep: !o.Temp, Supervisor: identify("supervisor", os.Getpid())}
	var err error
	if s.net, err = newNetwork(); err != nil {
		return nil, err
	}
	return s, s.record.save()
}

// up starts everything in order; the registry and the control plane do not need each other.
func (s *supervisor) up(ctx context.Context) (ready, error) {
	r := ready{Kubeconfig: s.config.Kubeconfig, PIDs: map[string]int{"supervisor": os.Getpid()}}
	var err error
	if s.config.Registry {
		if r.Registry, err = s.startRegistry(ctx); err != nil {
			return r, err
		}
	}
	if s.config.Forge {
		if r.Forge, err = s.startForge(ctx); err != nil {
			return r, fmt.Errorf("starting the forge: %w", err)
		}
	}
	if s.config.controlPlane() {
		c, err := s.startControlPlane(ctx)
		if err != nil {
			return r, err
		}
		r.Kubeconfig = c.kubeconfig
		if err := s.installAPIs(ctx, c); err != nil {
			return r, err
		}
		if err := s.startManagers(ctx, c); err != nil {
			return r, err
		}
		if s.config.gateway() {
			if r.Gateway, err = s.startGateway(ctx, c); err != nil {
				return r, err
			}
		}
		if s.config.Nodes > 0 {
			if err := s.startKwok(ctx, c); err != nil {
				return r, err
			}
		}
		if s.config.RealNode {
			if s.real, err = s.startRealNode(ctx, c, r.Registry, r.Forge); err != nil {
				return r, fmt.Errorf("starting the real node: %w", err)
			}
			r.RealNode, r.PodRegistry, r.PodForge = s.real.name, s.real.registry, s.real.forge
		}
		if err := c.controllersServe(ctx); err != nil {
			return r, err
		}
	}
	for _, p := range s.children {
		r.PIDs[p.name] = p.pid
	}
	return r, nil
}

// down stops what was started, the last first, then removes what is not a child. It has a time of its own: the
// context that ended the cluster is over.
func (s *supervisor) down() error {
	ctx, cancel := context.WithTimeout(context.Background(), 45*time.Second)
	defer cancel()
	if s.real != nil {
		s.real.drain(ctx)
	}
	for i := len(s.children) - 1; i >= 0; i-- {
		s.children[i].stop(s.children[i].grace())
	}
	for _, p := range s.proxies {
		p.Close()
	}
	return s.record.clean(ctx)
}

// grace is how long a process may take to end. The API server would wait for its watchers, and nothing of
// etcd's is read again; the node's parts and the registry have files to finish.
func (p *process) grace() time.Duration {
	switch p.name {
	case "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "jobset-manager", "lws-manager", "kueue", "traefik":
		return 0
	}
	return 5 * time.Second
}

// start runs one of the binaries and records it.
func (s *supervisor) start(name string, env []string, args ...string) (*process, error) {
	p, err := startProcess(s.config.Dir, name, s.binaries[name], env, args...)
	if err != nil {
		return nil, err
	}
	s.children = append(s.children, p)
	s.record.Processes = append(s.record.Processes, identify(name, p.pid))
	return p, s.record.save()
}

func (s *supervisor) path(name string) string { return filepath.Join(s.config.Dir, name) }
