package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/davit-dev/davit/deploy/devcluster"
)

func (d *demo) build(ctx context.Context) error {
	if err := d.show(ctx, "go", "build", "-o", d.davit(), "./cmd/davit"); err != nil {
		return err
	}
	cmd := d.command(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(d.dir, "iris-server"), "./examples/iris/serve")
	cmd.Env = append(cmd.Env, "CGO_ENABLED=0", "GOOS=linux")
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// init makes the repository; what is known only at run time, ports and the server image's digest, is written by
// the first commit.
func (d *demo) init(ctx context.Context) error {
	server, err := os.ReadFile(filepath.Join(d.dir, "iris-server"))
	if err != nil {
		return err
	}
	image, err := devcluster.NewImage(map[string][]byte{"/iris-server": server}, "/iris-server")
	if err != nil {
		return err
	}
	if err := image.Push(ctx, d.cluster.Registry, "iris-server", "v1"); err != nil {
		return err
	}
	if err := os.CopyFS(d.models(), os.DirFS("examples/iris/registry")); err != nil {
		return err
	}
	const placeholder = "127.0.0.1:5000/iris-server@sha256:0000000000000000000000000000000000000000000000000000000000000000"
	ref := d.cluster.Registry + "/iris-server@" + image.Digest()
	for _, file := range []string{"runtime.yaml", "deployment.yaml"} {
		if err := d.edit("runtimes/iris-server/0.1.0/"+file, placeholder, ref); err != nil {
			return err
		}
	}
	if err := d.edit("davit.yaml", "127.0.0.1:5000", d.cluster.Registry); err != nil {
		return err
	}
	if !d.real { // nothing answers in a simulated pod
		if err := d.edit("releases/iris/serving.yaml", "  smokeTest: {path: /v2/health/ready}\n", ""); err != nil {
			return err
		}
	}
	return d.all(ctx,
		[]string{"git", "init", "-q", "-b", "main"},
		[]string{"git", "add", "."},
		[]string{"git", "commit", "-qm", "iris v1 in staging and production"},
		[]string{d.davit(), "validate"},
		[]string{d.davit(), "install"},
	)
}

func (d *demo) all(ctx context.Context, commands ...[]string) error {
	for _, c := range commands {
		if err := d.show(ctx, c[0], c[1:]...); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(c, " "), err)
		}
	}
	return nil
}

func (d *demo) first(ctx context.Context) error {
	since := time.Now()
	if err := d.startSync(ctx); err != nil {
		return err
	}
	took, err := d.until(ctx, `(staging|production)/iris +v1 +Healthy`, since)
	if err == nil {
		took, err = d.until(ctx, `(staging|production)/iris +v1 +Healthy`, since)
	}
	d.note("first sync, image built, to Healthy in both", took)
	return err
}

// release is what `davit status` says of production/iris.
type release struct {
	Status struct {
		Phase, Message string
		Applied        struct{ Version, Image, Commit string }
		Held           *struct{ Version, Reason string }
	}
}

func (d *demo) status(ctx context.Context) (release, error) {
	out, err := d.output(ctx, d.davit(), "status", "production/iris", "-o", "json")
	if err != nil {
		return release{}, err
	}
	var all []release
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 1 {
		return release{}, fmt.Errorf("davit status said %s: %w", out, err)
	}
	return all[0], nil
}

// merge changes production's version on a branch and merges it, as a pull request's merge does.
func (d *demo) merge(ctx context.Context, from, to string) error {
	branch := "promote-" + to
	if err := d.show(ctx, "git", "checkout", "-qb", branch); err != nil {
		return err
	}
	fmt.Printf("   $ sed -i 's/version: %s/version: %s/' releases/iris/production.yaml\n", from, to)
	if err := d.edit("releases/iris/production.yaml", "version: "+from, "version: "+to); err != nil {
		return err
	}
	return d.all(ctx,
		[]string{d.davit(), "plan", "--base", "main"},
		[]string{"git", "commit", "-qam", "promote iris " + to + " to production"},
		[]string{"git", "checkout", "-q", "main"},
		[]string{"git", "merge", "-q", "--no-ff", "-m", "Merge iris " + to + " to production", branch},
	)
}

func (d *demo) promote(ctx context.Context) error {
	if err := d.merge(ctx, "v1", "v2"); err != nil {
		return err
	}
	took, err := d.until(ctx, `production/iris +v2 +Healthy`, time.Now())
	d.note("promotion: commit to Healthy", took)
	return err
}

func (d *demo) damaged(ctx context.Context) error {
	if err := d.merge(ctx, "v2", "v3"); err != nil {
		return err
	}
	since := time.Now()
	took, err := d.until(ctx, `production/iris +v3 +Failed`, since)
	if err != nil {
		return err
	}
	d.note("damaged version: commit to Failed", took)
	if took, err = d.until(ctx, `production/iris +v2 +RolledBack`, time.Now()); err != nil {
		return err
	}
	d.note("damaged version: Failed to rolled back and baked", took)
	s, err := d.status(ctx)
	if err != nil {
		return err
	}
	if s.Status.Held == nil || s.Status.Held.Version != "v3" || s.Status.Applied.Version != "v2" || !strings.Contains(s.Status.Held.Reason, "weight") {
		return fmt.Errorf("davit status does not say why v3 is held: %+v", s.Status)
	}
	if err := d.show(ctx, d.davit(), "status"); err != nil {
		return err
	}
	return d.good(ctx)
}

func (d *demo) revertDamaged(ctx context.Context) error {
	if err := d.show(ctx, "git", "revert", "--no-edit", "-m", "1", "HEAD"); err != nil {
		return err
	}
	took, err := d.until(ctx, `production/iris +v2 +Healthy`, time.Now())
	d.note("revert of the damaged version: commit to Healthy", took)
	return err
}

func (d *demo) revertGood(ctx context.Context) error {
	first, err := d.output(ctx, d.davit(), "status", "staging/iris", "-o", "json")
	if err != nil {
		return err
	}
	merge, err := d.output(ctx, "git", "log", "--format=%h", "--merges", "--grep=Merge iris v2", "-1")
	if err != nil {
		return err
	}
	if err := d.show(ctx, "git", "revert", "--no-edit", "-m", "1", merge); err != nil {
		return err
	}
	since := time.Now()
	if _, err := d.until(ctx, `production/iris +v1 +Progressing`, since); err != nil {
		return err
	}
	if d.real {
		if err := d.answers(ctx, "versicolor"); err != nil {
			return err
		}
		d.note("revert: commit to v1 serving again", time.Since(since))
	}
	took, err := d.until(ctx, `production/iris +v1 +Healthy`, since)
	if err != nil {
		return err
	}
	d.note("revert: commit to Healthy", took)
	s, err := d.status(ctx)
	if err != nil {
		return err
	}
	if !strings.Contains(first, s.Status.Applied.Image) || s.Status.Applied.Version != "v1" {
		return fmt.Errorf("production serves %+v, which is not the digest of before", s.Status.Applied)
	}
	fmt.Printf("   the old digest: %s\n", s.Status.Applied.Image)
	return nil
}

func (d *demo) tell(ctx context.Context) error {
	return d.all(ctx, []string{d.davit(), "status"}, []string{d.davit(), "history", "production/iris"})
}

// flower is a setosa, and one that the weak v1 takes for a versicolor.
const flower = `{"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP32", "data": [4.9, 3.0, 1.4, 0.2]}]}`

func (d *demo) weak(ctx context.Context) error { return d.ask(ctx, "versicolor") }
func (d *demo) good(ctx context.Context) error { return d.ask(ctx, "setosa") }

// ask sends the flower to production once and wants this answer.
func (d *demo) ask(ctx context.Context, want string) error {
	file := filepath.Join(d.dir, "flower.json")
	if err := os.WriteFile(file, []byte(flower), 0o644); err != nil {
		return err
	}
	args := []string{"create", "--raw", "/api/v1/namespaces/production/services/iris:80/proxy/v2/models/iris/infer", "-f", file}
	fmt.Printf("   $ cat flower.json\n     %s\n   $ kubectl %s\n", flower, strings.Join(append(args[:len(args)-1:len(args)-1], "flower.json"), " "))
	out, err := d.output(ctx, d.cluster.Bin("kubectl"), args...)
	if err != nil {
		return err
	}
	fmt.Println("     " + out)
	if !strings.Contains(out, want) {
		return fmt.Errorf("the model did not answer %s", want)
	}
	return nil
}

// answers asks until production gives this answer.
func (d *demo) answers(ctx context.Context, want string) error {
	file := filepath.Join(d.dir, "flower.json")
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		out, err := d.output(ctx, d.cluster.Bin("kubectl"), "create", "--raw",
			"/api/v1/namespaces/production/services/iris:80/proxy/v2/models/iris/infer", "-f", file)
		if err == nil && strings.Contains(out, want) {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return errors.New("production did not answer " + want + " in two minutes")
}
