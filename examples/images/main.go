// Command images measures how long davit build takes to make a model an image, beside what it can't be faster than
// (sha256sum of the same files) and beside the tools that people use instead: crane append, which is plain
// go-containerregistry, and oras push. All push to one OCI registry of the distribution project on loopback.
//
//	go run ./examples/images [-runs N] [-out DIR]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/davit-dev/davit/deploy/devcluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

// shapes are the models that are packed: files, and mebibytes in each.
var shapes = []struct{ files, size int }{{4, 256}, {64, 16}}

func run(ctx context.Context) error {
	runs := flag.Int("runs", 3, "runs of each command; the median is told")
	out := flag.String("out", "examples/images/results", "folder for results.md")
	flag.Parse()
	dir, err := os.MkdirTemp("", "images-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{dir: dir, runs: *runs}
	if b.tools, err = build(ctx, dir); err != nil {
		return err
	}
	registry, err := devcluster.StartRegistry(ctx, filepath.Join(dir, "oci"))
	if err != nil {
		return err
	}
	defer registry.Stop()
	b.registry = registry.Registry
	for _, shape := range shapes {
		if err := b.measure(ctx, shape.files, shape.size); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	text := b.table()
	fmt.Print(text)
	return os.WriteFile(filepath.Join(*out, "results.md"), []byte(text), 0o644)
}

// build makes davit and finds the tools, by name.
func build(ctx context.Context, dir string) (map[string]string, error) {
	tools := map[string]string{"davit": filepath.Join(dir, "davit")}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", tools["davit"], "./cmd/davit")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as make build does
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building davit: %w\n%s", err, out)
	}
	for _, name := range []string{"crane", "oras"} {
		path, err := exec.CommandContext(ctx, "go", "tool", "-modfile=.ci/tools/go.mod", "-n", name).Output()
		if err != nil {
			return nil, fmt.Errorf("building %s: %w", name, err)
		}
		tools[name] = strings.TrimSpace(string(path))
	}
	return tools, nil
}
