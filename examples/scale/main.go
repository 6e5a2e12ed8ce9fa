// Command scale measures davit against a real API server: first sync, promotions, commits that change nothing,
// restart, drift, a failing release and the web page, at up to ten thousand releases, beside the plain writes of the same
// objects and beside kubectl. It makes its registry with the real git, and runs the controller as a process of
// its own, so that what it uses can be told.
//
//	scale [flags]                measures and writes the results
//	scale soak [flags]           commits, edits and webhooks for a while; watches memory and latency
//	scale generate [flags] DIR   writes the registry alone
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/davit-dev/davit/examples/scale/controller"
	"github.com/davit-dev/davit/examples/scale/generate"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "controller": // not for people
			return controllerCommand(context.WithoutCancel(ctx), args[1:])
		case "soak":
			return soakCommand(ctx, args[1:])
		case "generate":
			return generateCommand(ctx, args[1:])
		}
	}
	return benchCommand(ctx, args)
}

// controllerCommand ends when its standard input does: Ctrl-C reaches the whole group, and the parent has last
// questions to ask.
func controllerCommand(ctx context.Context, args []string) error {
	signal.Ignore(os.Interrupt)
	signal.Reset(syscall.SIGTERM)
	var cfg controller.Config
	if err := json.Unmarshal([]byte(strings.Join(args, " ")), &cfg); err != nil {
		return fmt.Errorf("reading the controller's configuration: %w", err)
	}
	return controller.Main(ctx, cfg, os.Stdin, os.Stdout)
}

func benchCommand(ctx context.Context, args []string) error {
	b := &bench{counts: []int{100, 1000, 10000}, layout: generate.Teams}
	flags := flag.NewFlagSet("scale", flag.ExitOnError)
	flags.Func("n", "numbers of releases (default 100,1000,10000)", func(s string) (err error) {
		b.counts, err = numbers(s)
		return err
	})
	layoutFlag(flags, &b.layout)
	flags.BoolVar(&b.short, "short", false, "few repetitions: whether it works, not how fast it is")
	flags.IntVar(&b.podsUpTo, "pods-up-to", 10000, "with more releases than this the Deployments have no replicas")
	flags.StringVar(&b.out, "out", "examples/scale/results", "folder for results.md, results.svg and results.json")
	flags.StringVar(&b.profiles, "profiles", "", "folder for CPU profiles of the controller, one for each start")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return b.run(ctx)
}

func generateCommand(ctx context.Context, args []string) error {
	o := generate.Options{Layout: generate.Teams, Replicas: 1}
	flags := flag.NewFlagSet("generate", flag.ExitOnError)
	flags.IntVar(&o.Releases, "n", 1000, "number of releases")
	flags.IntVar(&o.Replicas, "replicas", o.Replicas, "replicas of each Deployment")
	flags.StringVar(&o.Images, "images", "127.0.0.1:5000/models", "OCI repository prefix")
	layoutFlag(flags, &o.Layout)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("name the folder to write")
	}
	_, err := newRepository(ctx, flags.Arg(0), o)
	return err
}

func layoutFlag(flags *flag.FlagSet, layout *generate.Layout) {
	flags.Func("layout", "teams or flat (default teams)", func(s string) error {
		*layout = generate.Layout(s)
		if *layout != generate.Teams && *layout != generate.Flat {
			return errors.New("want teams or flat")
		}
		return nil
	})
}

func numbers(s string) (all []int, err error) {
	for part := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no number of releases", part)
		}
		all = append(all, n)
	}
	return all, nil
}
