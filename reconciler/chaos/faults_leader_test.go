package chaos_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/chaos"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/registry/image"
)

// controllerOrder is what a controller in a process of its own is told, in the environment.
type controllerOrder struct {
	Server, Token, Namespace, Name, Mirrors, Key string
	CA                                           []byte
}

const controllerEnv = "DAVIT_CHAOS_CONTROLLER"

// TestChaosFaultsController is such a process, where it is told to be one: what davit controller runs.
func TestChaosFaultsController(t *testing.T) {
	text := os.Getenv(controllerEnv)
	if text == "" {
		t.Skip("only as a process of another test")
	}
	var o controllerOrder
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { // whoever started it is gone
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	klog.SetSlogLogger(log)
	own, err := cluster.New(ctx, cluster.Config{
		REST:  &rest.Config{Host: o.Server, BearerToken: o.Token, TLSClientConfig: rest.TLSClientConfig{CAData: o.CA}},
		Owner: "davit", Holder: o.Name, Namespaces: []string{o.Namespace}, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	key, err := image.ParseKey([]byte(o.Key), nil)
	if err != nil {
		t.Fatal(err)
	}
	images, err := image.New(image.Config{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	err = own.Lead(ctx, o.Namespace, "davit", func(ctx context.Context) error {
		log.Info("leading")
		defer log.Info("leading no more")
		return reconciler.Control(ctx, reconciler.ControllerConfig{Cluster: own, Namespace: o.Namespace, Mirrors: o.Mirrors, Images: images, Log: log})
	})
	if err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
}

// controller is such a process, behind a proxy of its own.
type controller struct {
	name string
	api  *chaos.Proxy
	cmd  *exec.Cmd
}

func (w *faultyWorld) controller(name string) *controller {
	w.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", w.dev.Kubeconfig)
	if err != nil {
		w.t.Fatal(err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		w.t.Fatal(err)
	}
	c := &controller{name: name}
	if c.api, err = chaos.New(config.Host, transport); err != nil {
		w.t.Fatal(err)
	}
	order, err := json.Marshal(controllerOrder{c.api.URL, config.BearerToken, w.namespace("davit"), name, w.t.TempDir(), w.private, c.api.CA})
	if err != nil {
		w.t.Fatal(err)
	}
	c.cmd = exec.Command(os.Args[0], "-test.run=^TestChaosFaultsController$", "-test.timeout=0")
	c.cmd.Env = append(os.Environ(), controllerEnv+"="+string(order))
	c.cmd.Stdout, c.cmd.Stderr = w.log, w.log
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		c.api.Begin(nil)
		c.signal(syscall.SIGCONT)
		stdin.Close()
		killed := time.AfterFunc(20*time.Second, func() { _ = c.cmd.Process.Kill() })
		if err := c.cmd.Wait(); err != nil {
			w.t.Errorf("controller %s: %v", name, err)
		}
		killed.Stop()
		c.api.Close()
	})
	return c
}

func (c *controller) signal(s syscall.Signal) { _ = c.cmd.Process.Signal(s) }
