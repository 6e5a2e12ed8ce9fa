package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

const (
	training    = "models/iris/training/softmax.yaml"
	environment = "environments/staging/environment.yaml"
)

// train merges a training's spec, and waits for the version that its run makes.
func (d *demo) train(ctx context.Context) error {
	if err := d.writeTraining(ctx); err != nil {
		return err
	}
	if err := d.All(ctx,
		[]string{"git", "checkout", "-qb", "train-iris"},
		[]string{"cat", training},
		[]string{"git", "add", "-A"},
		[]string{"git", "commit", "-qm", "train iris in staging"},
		[]string{d.Davit(), "plan", "--base", "main"},
		[]string{"git", "checkout", "-q", "main"},
		[]string{"git", "merge", "-q", "--no-ff", "-m", "Merge how iris is trained", "train-iris"},
	); err != nil {
		return err
	}
	merged := time.Now()
	branch, err := d.proposed(ctx)
	if err != nil {
		return err
	}
	d.Note("a training merged to the version it made, proposed", time.Since(merged))
	if err := d.Expect(ctx, []string{`softmax-[0-9a-f]{8} .*Succeeded`}, d.Davit(), "train", "list"); err != nil {
		return err
	}
	return d.All(ctx,
		[]string{"git", "log", "-1", "--format=%an: %B", branch},
		[]string{"git", "show", branch + ":models/iris/versions/" + filepath.Base(branch) + ".yaml"},
		[]string{"git", "merge", "-q", "--no-ff", "-m", "Merge iris " + filepath.Base(branch), branch},
	)
}

// writeTraining writes the spec, with the digests that are known only now.
func (d *demo) writeTraining(ctx context.Context) error {
	trainer, err := d.Push(ctx, "iris-train", "iris-train", "/iris-train")
	if err != nil {
		return err
	}
	publisher, err := d.PushDavit(ctx, "davit")
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join("examples", "iris", "training", "softmax.yaml"))
	if err != nil {
		return err
	}
	file := filepath.Join(d.Models(), training)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return err
	}
	if err := d.Edit(training, "127.0.0.1:5000/iris-train@sha256:0000000000000000000000000000000000000000000000000000000000000000", trainer); err != nil {
		return err
	}
	return d.Edit(environment, "  bake: 5s\n", "  bake: 5s\n  publisher: {image: "+publisher+"}\n")
}

// proposed waits for the branch with the version.
func (d *demo) proposed(ctx context.Context) (branch string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	name := regexp.MustCompile(`davit/train/iris/\S+`)
	for {
		out, err := d.Output(ctx, "git", "branch", "--list", "davit/train/*", "--format=%(refname:short)")
		if found := name.FindString(out); err == nil && found != "" {
			return found, nil
		}
		select {
		case <-ctx.Done():
			said, _ := d.Output(context.WithoutCancel(ctx), d.Cluster.Bin("kubectl"), "describe", "jobs,pods", "-n", "staging", "-l", "davit.dev/training=softmax")
			return "", fmt.Errorf("no version was proposed: %w\n%s", ctx.Err(), said)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// trained promotes what came out of the cluster.
func (d *demo) trained(ctx context.Context) error {
	if err := d.merge(ctx, "v1", "v4"); err != nil {
		return err
	}
	took, err := d.Until(ctx, `production/iris +v4 +Healthy`, time.Now())
	d.Note("the trained version: commit to Healthy", took)
	if err != nil {
		return err
	}
	return d.Show(ctx, d.Davit(), "lineage", "iris@v4")
}
