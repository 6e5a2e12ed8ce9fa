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
	"github.com/davit-dev/davit/examples/stage"
)

// demo is the story of iris.
type demo struct{ *stage.Stage }

func (d *demo) build(ctx context.Context) error {
	return d.Build(ctx, map[string]string{"iris-server": "./examples/iris/serve", "iris-train": "./examples/iris/train"})
}

func (d *demo) start(ctx context.Context) error { return d.Start(ctx, devcluster.Config{GPUs: 8}) }

// init makes the repository and installs davit's CRDs.
func (d *demo) init(ctx context.Context) error {
	if err := d.makeRegistry(ctx); err != nil {
		return err
	}
	return d.Init(ctx, "iris v1 in staging and production")
}

// makeRegistry makes the registry's folder; what is known only at run time, ports and the server image's digest, is
// written by the first commit.
func (d *demo) makeRegistry(ctx context.Context) error {
	ref, err := d.Push(ctx, "iris-server", "iris-server", "/iris-server")
	if err != nil {
		return err
	}
	if err := d.Copy("iris"); err != nil {
		return err
	}
	const placeholder = "127.0.0.1:5000/iris-server@sha256:0000000000000000000000000000000000000000000000000000000000000000"
	for _, file := range []string{"runtime.yaml", "deployment.yaml"} {
		if err := d.Edit("runtimes/iris-server/0.1.0/"+file, placeholder, ref); err != nil {
			return err
		}
	}
	if !d.Real { // nothing answers in a simulated pod
		return d.Edit("releases/iris/serving.yaml", "  smokeTest: {path: /v2/health/ready}\n", "")
	}
	return nil
}

func (d *demo) first(ctx context.Context) error {
	since := time.Now()
	if err := d.StartSync(ctx); err != nil {
		return err
	}
	took, err := d.Until(ctx, `(staging|production)/iris +v1 +Healthy`, since)
	if err == nil {
		took, err = d.Until(ctx, `(staging|production)/iris +v1 +Healthy`, since)
	}
	d.Note("first sync, image built, to Healthy in both", took)
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
	out, err := d.Output(ctx, d.Davit(), "status", "production/iris", "-o", "json")
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
	if err := d.Show(ctx, "git", "checkout", "-qb", branch); err != nil {
		return err
	}
	fmt.Printf("   $ sed -i 's/version: %s/version: %s/' releases/iris/production.yaml\n", from, to)
	if err := d.Edit("releases/iris/production.yaml", "version: "+from, "version: "+to); err != nil {
		return err
	}
	return d.All(ctx,
		[]string{d.Davit(), "plan", "--base", "main"},
		[]string{"git", "commit", "-qam", "promote iris " + to + " to production"},
		[]string{"git", "checkout", "-q", "main"},
		[]string{"git", "merge", "-q", "--no-ff", "-m", "Merge iris " + to + " to production", branch},
	)
}

func (d *demo) promote(ctx context.Context) error {
	if err := d.merge(ctx, "v1", "v2"); err != nil {
		return err
	}
	took, err := d.Until(ctx, `production/iris +v2 +Healthy`, time.Now())
	d.Note("promotion: commit to Healthy", took)
	return err
}

func (d *demo) damaged(ctx context.Context) error {
	if err := d.merge(ctx, "v2", "v3"); err != nil {
		return err
	}
	since := time.Now()
	took, err := d.Until(ctx, `production/iris +v3 +Failed`, since)
	if err != nil {
		return err
	}
	d.Note("damaged version: commit to Failed", took)
	if took, err = d.Until(ctx, `production/iris +v2 +RolledBack`, time.Now()); err != nil {
		return err
	}
	d.Note("damaged version: Failed to rolled back and baked", took)
	s, err := d.status(ctx)
	if err != nil {
		return err
	}
	if s.Status.Held == nil || s.Status.Held.Version != "v3" || s.Status.Applied.Version != "v2" || !strings.Contains(s.Status.Held.Reason, "weight") {
		return fmt.Errorf("davit status does not say why v3 is held: %+v", s.Status)
	}
	if err := d.Show(ctx, d.Davit(), "status"); err != nil {
		return err
	}
	return d.good(ctx)
}

func (d *demo) revertDamaged(ctx context.Context) error {
	if err := d.Show(ctx, "git", "revert", "--no-edit", "-m", "1", "HEAD"); err != nil {
		return err
	}
	took, err := d.Until(ctx, `production/iris +v2 +Healthy`, time.Now())
	d.Note("revert of the damaged version: commit to Healthy", took)
	return err
}

func (d *demo) revertGood(ctx context.Context) error {
	first, err := d.Output(ctx, d.Davit(), "status", "staging/iris", "-o", "json")
	if err != nil {
		return err
	}
	merge, err := d.Output(ctx, "git", "log", "--format=%h", "--merges", "--grep=Merge iris v2", "-1")
	if err != nil {
		return err
	}
	if err := d.Show(ctx, "git", "revert", "--no-edit", "-m", "1", merge); err != nil {
		return err
	}
	since := time.Now()
	if _, err := d.Until(ctx, `production/iris +v1 +Progressing`, since); err != nil {
		return err
	}
	if d.Real {
		if err := d.answers(ctx, "versicolor"); err != nil {
			return err
		}
		d.Note("revert: commit to v1 serving again", time.Since(since))
	}
	took, err := d.Until(ctx, `production/iris +v1 +Healthy`, since)
	if err != nil {
		return err
	}
	d.Note("revert: commit to Healthy", took)
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
	if err := d.noted(ctx); err != nil {
		return err
	}
	return d.All(ctx, []string{d.Davit(), "status"}, []string{d.Davit(), "history", "production/iris"})
}

// noted waits until the last outcome is in Git: they are written there together, some seconds later.
func (d *demo) noted(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		note, err := d.Output(ctx, "git", "log", "-1", "--notes=davit", "--format=%N")
		if err != nil || strings.Contains(note, `"release":"production/iris","outcome":"Healthy"`) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no outcome of the last commit is in Git: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// flower is a setosa, and one that the weak v1 takes for a versicolor.
const flower = `{"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP32", "data": [4.9, 3.0, 1.4, 0.2]}]}`

func (d *demo) weak(ctx context.Context) error { return d.ask(ctx, "versicolor") }
func (d *demo) good(ctx context.Context) error { return d.ask(ctx, "setosa") }

// ask sends the flower to production once and wants this answer.
func (d *demo) ask(ctx context.Context, want string) error {
	file := filepath.Join(d.Dir, "flower.json")
	if err := os.WriteFile(file, []byte(flower), 0o644); err != nil {
		return err
	}
	args := []string{"create", "--raw", "/api/v1/namespaces/production/services/iris:80/proxy/v2/models/iris/infer", "-f", file}
	fmt.Printf("   $ cat flower.json\n     %s\n   $ kubectl %s\n", flower, strings.Join(append(args[:len(args)-1:len(args)-1], "flower.json"), " "))
	out, err := d.Output(ctx, d.Cluster.Bin("kubectl"), args...)
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
	file := filepath.Join(d.Dir, "flower.json")
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		out, err := d.Output(ctx, d.Cluster.Bin("kubectl"), "create", "--raw",
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
