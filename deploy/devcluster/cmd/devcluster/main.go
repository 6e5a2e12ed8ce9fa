// Command devcluster starts a real Kubernetes on this machine and takes it down again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/davit-dev/davit/deploy/devcluster"
)

const usage = `usage:
  devcluster up [--nodes N] [--gpus G] [--stages FILE] [--real-node] [--registry] [--forge] [--dir DIR]
                [--apis NAME,…] [--controllers NAME,…]
                                              runs until Ctrl-C, then takes all down
  devcluster up --own-cluster --registry      only the registry, beside the cluster KUBECONFIG names
  devcluster build [PART|all]…                builds the binaries, once
  devcluster sweep                            removes what a killed supervisor left behind
names:
  APIs         %s; with their real CRDs
  controllers  %s; with their API. gateway serves the Gateway %s
  parts        %s
`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "devcluster:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	if command == "supervise" { // not for people: it has its own signals
		return devcluster.Supervise(context.Background(), os.Stdin, os.Stdout)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	switch command {
	case "up":
		return up(ctx, args)
	case "build":
		return build(ctx, args)
	case "sweep":
		swept, err := devcluster.Sweep(ctx)
		for _, id := range swept {
			fmt.Println("removed", id)
		}
		return err
	}
	fmt.Fprintf(os.Stderr, usage, strings.Join(devcluster.APIs(), ", "), strings.Join(devcluster.Controllers(), ", "), devcluster.PublicGateway, join(devcluster.Parts()))
	os.Exit(2)
	return nil
}

func up(ctx context.Context, args []string) error {
	cfg := devcluster.Config{Log: os.Stderr}
	flags := flag.NewFlagSet("up", flag.ExitOnError)
	flags.IntVar(&cfg.Nodes, "nodes", 0, "simulated nodes")
	flags.IntVar(&cfg.GPUs, "gpus", 0, "nvidia.com/gpu of each node")
	flags.BoolVar(&cfg.RealNode, "real-node", false, "a node that runs pods (Linux, root)")
	flags.BoolVar(&cfg.Registry, "registry", false, "an OCI registry")
	flags.BoolVar(&cfg.Forge, "forge", false, "a forge (Gitea)")
	flags.StringVar(&cfg.Dir, "dir", "", "state folder (default: a temporary one)")
	flags.Func("stages", "file of kwok Stages for simulated nodes and pods", func(path string) error {
		cfg.Stages = append(cfg.Stages, path)
		return nil
	})
	flags.Func("apis", "third-party APIs whose CRDs are installed: "+strings.Join(devcluster.APIs(), ","), list(&cfg.APIs))
	flags.Func("controllers", "controllers that are started, with their API: "+strings.Join(devcluster.Controllers(), ","), list(&cfg.Controllers))
	own := flags.Bool("own-cluster", false, "start no cluster: the one KUBECONFIG names stands in")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *own {
		if cfg.Kubeconfig = os.Getenv("KUBECONFIG"); cfg.Kubeconfig == "" {
			return errors.New("--own-cluster needs KUBECONFIG in the environment")
		}
	}
	cluster, err := devcluster.Start(ctx, cfg)
	if err != nil {
		return err
	}
	fmt.Printf("export KUBECONFIG=%s\n", cluster.Kubeconfig)
	if kubectl := cluster.Bin("kubectl"); kubectl != "" {
		fmt.Printf("export KUBECTL=%s\n", kubectl)
	}
	if cluster.Registry != "" {
		fmt.Printf("export REGISTRY=%s\n", cluster.Registry)
	}
	if cluster.Forge != "" {
		fmt.Printf("export FORGE=%s FORGE_USER=%s FORGE_PASSWORD=%s\n", cluster.Forge, devcluster.ForgeUser, devcluster.ForgePassword)
	}
	if cluster.Gateway != "" {
		fmt.Printf("export GATEWAY=%s\n", cluster.Gateway)
	}
	if cluster.PodRegistry != "" {
		fmt.Printf("export POD_REGISTRY=%s\n", cluster.PodRegistry)
	}
	if cluster.PodForge != "" {
		fmt.Printf("export POD_FORGE=%s\n", cluster.PodForge)
	}
	fmt.Fprintln(os.Stderr, "ready; Ctrl-C takes it down")
	select {
	case <-ctx.Done():
		return cluster.Stop()
	case <-cluster.Done():
		return errors.Join(errors.New("the supervisor ended; its log is "+cluster.Dir+"/supervisor.log"), cluster.Stop())
	}
}

// list is a flag of names with commas between them, which may be given more than once.
func list(names *[]string) func(string) error {
	return func(value string) error {
		*names = append(*names, strings.Split(value, ",")...)
		return nil
	}
}

func build(ctx context.Context, names []string) error {
	parts := devcluster.Parts()
	if len(names) > 0 && names[0] != "all" {
		known := parts
		parts = nil
		for _, name := range names {
			part := devcluster.Part(name)
			if !contains(known, part) {
				return fmt.Errorf("there is no part %q (have %s, all)", name, join(known))
			}
			parts = append(parts, part)
		}
	}
	binaries, err := devcluster.Build(ctx, os.Stderr, parts...)
	for name, path := range binaries {
		fmt.Printf("%s\t%s\n", name, path)
	}
	return err
}

func contains(parts []devcluster.Part, part devcluster.Part) bool {
	for _, p := range parts {
		if p == part {
			return true
		}
	}
	return false
}

func join(parts []devcluster.Part) string {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = string(p)
	}
	return strings.Join(names, ", ")
}
