package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/examples/stage"
)

type demo struct{ *stage.Stage }

const (
	embedder   = "teams/search/releases/embedder/production.yaml"
	moderation = "teams/trust/releases/moderation/production.yaml"
)

func (d demo) build(ctx context.Context) error { return d.Build(ctx, nil) }

// start makes two nodes with two GPUs each, every one cut into a large slice and four small ones, and one without GPUs.
func (d demo) start(ctx context.Context) error {
	if err := d.Start(ctx, devcluster.Config{Nodes: 3}); err != nil {
		return err
	}
	for _, name := range []string{"sim-0", "sim-1"} {
		err := d.Dress(ctx, stage.Node{
			Name:    name,
			Devices: map[string]string{"nvidia.com/mig-1g.10gb": "8", "nvidia.com/mig-3g.40gb": "2"},
			Labels:  map[string]string{"nvidia.com/mig.strategy": "mixed", "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
			Taint:   "nvidia.com/gpu",
		})
		if err != nil {
			return err
		}
	}
	return d.Show(ctx, d.Cluster.Bin("kubectl"), "get", "nodes", "-o",
		`custom-columns=NODE:.metadata.name,SMALL:.status.allocatable.nvidia\.com/mig-1g\.10gb,LARGE:.status.allocatable.nvidia\.com/mig-3g\.40gb,TAINT:.spec.taints[*].key`)
}

func (d demo) init(ctx context.Context) error {
	if err := d.Copy("mig"); err != nil {
		return err
	}
	servings, err := filepath.Glob(filepath.Join(d.Models(), "teams/*/releases/*/serving.yaml"))
	if err != nil {
		return err
	}
	for _, file := range servings {
		name, err := filepath.Rel(d.Models(), file)
		if err != nil {
			return err
		}
		if err := d.Edit(name, "smokeTest:", "#smokeTest:"); err != nil {
			return err
		}
	}
	if err := d.Edit("environments/production/environment.yaml", "bake: 2m", "bake: 1s"); err != nil {
		return err
	}
	return d.Init(ctx, "seven models on MIG slices")
}

func (d demo) first(ctx context.Context) error {
	since := time.Now()
	if err := d.sync(ctx); err != nil {
		return err
	}
	d.Note("first sync, seven images built, to Healthy in all", time.Since(since))
	return d.healthy(ctx, map[string]string{
		"embedder": "v1", "intents": "v1", "language": "v1", "moderation": "v1", "reranker": "v1", "sentiment": "v1", "toxicity": "v1",
	})
}

func (d demo) sync(ctx context.Context) error { return d.Show(ctx, d.Davit(), "sync", "--once") }

// healthy wants releases to be healthy at a version.
func (d demo) healthy(ctx context.Context, versions map[string]string) error {
	var want []string
	for name, version := range versions {
		want = append(want, fmt.Sprintf(`^production/%s +%s +Healthy `, name, version))
	}
	return d.Expect(ctx, want, d.Davit(), "status")
}

// look shows where pods are, and wants the Component of the environment to have spread them.
func (d demo) look(ctx context.Context) error {
	columns := `custom-columns=RELEASE:.metadata.labels.davit\.dev/release,NODE:.spec.nodeName,SMALL:.spec.containers[0].resources.limits.nvidia\.com/mig-1g\.10gb,LARGE:.spec.containers[0].resources.limits.nvidia\.com/mig-3g\.40gb`
	out, err := d.Output(ctx, d.Cluster.Bin("kubectl"), "get", "pods", "-n", "production", "--no-headers", "-o", columns)
	if err != nil {
		return err
	}
	pods := map[string]int{}
	small, large := 0, 0
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) != 4 {
			return fmt.Errorf("reading the line %q", line)
		}
		pods[f[0]+" "+f[1]]++
		if f[2] == "1" {
			small++
		}
		if f[3] == "1" {
			large++
		}
	}
	fmt.Printf("     %-12s%6s%6s%6s\n", "pods", "sim-0", "sim-1", "sim-2")
	for _, r := range []struct {
		name string
		want [3]int
	}{
		{"reranker", [3]int{2, 2}}, {"toxicity", [3]int{2, 2}}, {"sentiment", [3]int{1, 1}}, {"embedder", [3]int{1, 1}}, {"language", [3]int{0, 0, 2}},
	} {
		var got [3]int
		for i := range got {
			got[i] = pods[fmt.Sprintf("%s sim-%d", r.name, i)]
		}
		fmt.Printf("     %-12s%6d%6d%6d\n", r.name, got[0], got[1], got[2])
		if got != r.want {
			return fmt.Errorf("%s has %v pods on the nodes, not %v", r.name, got, r.want)
		}
	}
	fmt.Printf("     %d of 16 small slices and %d of 4 large ones are taken\n", small, large)
	if small != 13 || large != 3 {
		return fmt.Errorf("not 13 and 3")
	}
	return nil
}

// replicas changes how many embedders there are.
func (d demo) replicas(from, to int) error {
	fmt.Printf("   $ sed -i 's/replicas: %d/replicas: %d/' %s\n", from, to, embedder)
	return d.Edit(embedder, fmt.Sprintf("replicas: %d", from), fmt.Sprintf("replicas: %d", to))
}

func (d demo) tooMany(ctx context.Context) error {
	if err := d.replicas(2, 4); err != nil {
		return err
	}
	return d.plan(ctx, `mig-3g\.40gb +3 +5 \(\+2\) +4 +1$`, `^production/embedder: 1 of 4 pods would wait`)
}

func (d demo) fits(ctx context.Context) error {
	if err := d.replicas(4, 3); err != nil {
		return err
	}
	if err := d.plan(ctx, `mig-3g\.40gb +3 +4 \(\+1\) +4 +1$`, `^every pod finds a place`); err != nil {
		return err
	}
	return d.commit(ctx, "a third embedder", map[string]string{"embedder": "v1"})
}

func (d demo) full(ctx context.Context) error {
	fmt.Printf("   $ sed -i 's/version: v1/version: v2/' %s\n", moderation)
	if err := d.Edit(moderation, "version: v1", "version: v2"); err != nil {
		return err
	}
	return d.plan(ctx, `mig-3g\.40gb +4 +4, 5 while it rolls out +4 +0$`, `^production/moderation: 1 of 1 pod more would wait while the old ones run`)
}

func (d demo) room(ctx context.Context) error {
	if err := d.replicas(3, 2); err != nil {
		return err
	}
	if err := d.plan(ctx, `^every pod finds a place`); err != nil {
		return err
	}
	return d.commit(ctx, "moderation v2, and an embedder less", map[string]string{"embedder": "v1", "moderation": "v2"})
}

func (d demo) plan(ctx context.Context, want ...string) error {
	return d.Expect(ctx, want, d.Davit(), "plan", "--server")
}

func (d demo) commit(ctx context.Context, message string, healthy map[string]string) error {
	since := time.Now()
	if err := d.Show(ctx, "git", "commit", "-qam", message); err != nil {
		return err
	}
	if err := d.sync(ctx); err != nil {
		return err
	}
	d.Note(message+", to Healthy", time.Since(since))
	return d.healthy(ctx, healthy)
}

func (d demo) tell(ctx context.Context) error {
	return d.Show(ctx, d.Davit(), "history", "production/moderation")
}
