package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/examples/stage"
)

type demo struct{ *stage.Stage }

var (
	regions  = []string{"ap", "eu", "us"}
	versions = map[string]string{"eu": "v1", "us": "v1", "ap": "v1-awq"} // what is to run
)

func (d demo) build(ctx context.Context) error { return d.Build(ctx, nil) }

// start makes two nodes in each region, and a third one in ap, whose GPUs are smaller.
func (d demo) start(ctx context.Context) error {
	if err := d.Start(ctx, devcluster.Config{Nodes: 7, Controllers: []string{"gateway"}}); err != nil {
		return err
	}
	const h100, mi300x, l4 = "nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3", "amd.com/gpu.product-name=AMD_Instinct_MI300X_OAM", "nvidia.com/gpu.product=NVIDIA-L4"
	for i, n := range []struct{ region, resource, count, product string }{
		{"eu-west-1", "nvidia.com/gpu", "8", h100},
		{"eu-west-1", "nvidia.com/gpu", "8", h100},
		{"us-east-1", "amd.com/gpu", "4", mi300x},
		{"us-east-1", "amd.com/gpu", "4", mi300x},
		{"ap-south-1", "nvidia.com/gpu", "4", l4},
		{"ap-south-1", "nvidia.com/gpu", "4", l4},
		{"ap-south-1", "nvidia.com/gpu", "4", l4},
	} {
		label, product, _ := strings.Cut(n.product, "=")
		err := d.Dress(ctx, stage.Node{
			Name:    fmt.Sprintf("sim-%d", i),
			Devices: map[string]string{n.resource: n.count},
			Labels:  map[string]string{"topology.kubernetes.io/region": n.region, label: product},
			Taint:   n.resource,
		})
		if err != nil {
			return err
		}
	}
	return d.Show(ctx, d.Cluster.Bin("kubectl"), "get", "nodes", "-o",
		`custom-columns=NODE:.metadata.name,REGION:.metadata.labels.topology\.kubernetes\.io/region,NVIDIA:.status.allocatable.nvidia\.com/gpu,AMD:.status.allocatable.amd\.com/gpu`)
}

// init makes the repository, with times for a demo.
func (d demo) init(ctx context.Context) error {
	if err := d.Copy("regions"); err != nil {
		return err
	}
	edits := [][3]string{
		{"releases/assistant/serving.yaml", "smokeTest:", "#smokeTest:"},
		{"releases/assistant/eu.yaml", "pause: 10m", "pause: 4s"},
		{"releases/assistant/eu.yaml", "pause: 20m", "pause: 4s"},
	}
	for _, region := range regions {
		edits = append(edits, [3]string{"environments/" + region + "/environment.yaml", "bake: 10m", "bake: 2s"})
	}
	for _, e := range edits {
		if err := d.Edit(e[0], e[1], e[2]); err != nil {
			return err
		}
	}
	return d.Init(ctx, "assistant v1 in three regions")
}

func (d demo) first(ctx context.Context) error {
	since := time.Now()
	if err := d.sync(ctx); err != nil {
		return err
	}
	d.Note("first sync, two images built, to Healthy in all", time.Since(since))
	return d.healthy(ctx)
}

func (d demo) sync(ctx context.Context, want ...string) error {
	return d.Expect(ctx, want, d.Davit(), "sync", "--once")
}

// healthy wants each region to be healthy at its version.
func (d demo) healthy(ctx context.Context) error {
	var want []string
	for _, region := range regions {
		want = append(want, fmt.Sprintf(`^%s/assistant +%s +Healthy `, region, versions[region]))
	}
	return d.Expect(ctx, want, d.Davit(), "status")
}

// look shows the regions' Deployments, and wants pods in their regions.
func (d demo) look(ctx context.Context) error {
	const davits, pod = "app.kubernetes.io/managed-by=davit", ".spec.template.spec"
	columns := "custom-columns=REGION:.metadata.namespace,DEPLOYMENT:.metadata.name,PODS:.spec.replicas" +
		`,NVIDIA:` + pod + `.containers[0].resources.limits.nvidia\.com/gpu,AMD:` + pod + `.containers[0].resources.limits.amd\.com/gpu` +
		`,SURGE:.spec.strategy.rollingUpdate.maxSurge,IMAGE VOLUME:` + pod + `.volumes[0].image.pullPolicy,INIT CONTAINER:` + pod + `.initContainers[0].name`
	err := d.Expect(ctx, []string{
		`^ap +assistant +2 +4 +<none> +1 +<none> +model-loader$`,
		`^eu +assistant-\w+ +2 +4 +<none> +0 +IfNotPresent +<none>$`,
		`^us +assistant-\w+ +3 +<none> +1 +0 +IfNotPresent +<none>$`,
	}, d.Cluster.Bin("kubectl"), "get", "deployments", "-A", "-l", davits, "-o", columns)
	if err != nil {
		return err
	}
	return d.Expect(ctx, []string{`^ap +assistant-\S+ +sim-[456]$`, `^eu +assistant-\S+ +sim-[01]$`, `^us +assistant-\S+ +sim-[23]$`},
		d.Cluster.Bin("kubectl"), "get", "pods", "-A", "-l", davits, "-o", "custom-columns=REGION:.metadata.namespace,POD:.metadata.name,NODE:.spec.nodeName")
}

// plan promotes in the worktree only.
func (d demo) plan(ctx context.Context) error {
	for _, region := range regions {
		from := versions[region]
		to := strings.Replace(from, "v1", "v2", 1)
		fmt.Printf("   $ sed -i 's/version: %s/version: %s/' %s\n", from, to, file(region))
		if err := d.Edit(file(region), "version: "+from, "version: "+to); err != nil {
			return err
		}
	}
	return d.Expect(ctx, []string{
		`^nvidia\.com/gpu on \S+=NVIDIA-L4,\S+ +8 +8, 12 while it rolls out +12 +4$`,
		`^nvidia\.com/gpu on \S+=NVIDIA-H100\S+ +8 +8, 16 while it rolls out +16 +8$`,
		`^amd\.com/gpu on \S+=AMD_Instinct_MI300X\S+ +3 +3, 6 while it rolls out +8 +5$`,
	}, d.Davit(), "plan", "--server")
}

func file(region string) string { return "releases/assistant/" + region + ".yaml" }

func (d demo) us(ctx context.Context) error {
	return d.promote(ctx, "us", `us/assistant +v2 +Progressing .*all traffic goes to v2`)
}

func (d demo) eu(ctx context.Context) error {
	return d.promote(ctx, "eu", `eu/assistant +v2 +Progressing .*step 1 of 2: v2 has 10% of the traffic`, `eu/assistant +v2 +Progressing .*step 2 of 2: v2 has 50% of the traffic`)
}

func (d demo) ap(ctx context.Context) error { return d.promote(ctx, "ap") }

// promote commits one region's file, and wants what sync says of it and not one object of the others written.
func (d demo) promote(ctx context.Context, region string, want ...string) error {
	before, err := d.others(ctx, region)
	if err != nil {
		return err
	}
	versions[region] = strings.Replace(versions[region], "v1", "v2", 1)
	since := time.Now()
	if err := d.Show(ctx, "git", "commit", "-qm", "promote assistant "+versions[region]+" to "+region, file(region)); err != nil {
		return err
	}
	want = append(want, fmt.Sprintf(`^\S+ +%s/assistant +%s +Healthy`, region, versions[region]))
	if err := d.sync(ctx, want...); err != nil {
		return err
	}
	d.Note(region+": commit to Healthy", time.Since(since))
	if err := d.healthy(ctx); err != nil {
		return err
	}
	after, err := d.others(ctx, region)
	if err != nil {
		return err
	}
	if after != before {
		return fmt.Errorf("other regions' objects were written: before\n%s\nafter\n%s", before, after)
	}
	fmt.Printf("     the other regions' %d objects are as they were, resourceVersion and all\n", strings.Count(after, "\n")+1)
	return nil
}

// others are the objects of the regions but one.
func (d demo) others(ctx context.Context, region string) (string, error) {
	var all []string
	for _, other := range regions {
		if other == region {
			continue
		}
		out, err := d.Output(ctx, d.Cluster.Bin("kubectl"), "get", "services,deployments,pods,poddisruptionbudgets,networkpolicies", "-n", other, "--no-headers", "-o",
			"custom-columns=KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name,VERSION:.metadata.resourceVersion")
		if err != nil {
			return "", err
		}
		all = append(all, out)
	}
	return strings.Join(all, "\n"), nil
}

func (d demo) tooMany(ctx context.Context) error {
	fmt.Printf("   $ sed -i 's/replicas: 2/replicas: 4/' %s\n", file("ap"))
	if err := d.Edit(file("ap"), "replicas: 2", "replicas: 4"); err != nil {
		return err
	}
	err := d.Expect(ctx, []string{`=NVIDIA-L4,\S+ +8 +16 \(\+8\) +12 +4$`, `^ap/assistant: 1 of 4 pods would wait: 4 × nvidia\.com/gpu each`}, d.Davit(), "plan", "ap", "--server")
	if err != nil {
		return err
	}
	return d.Show(ctx, "git", "checkout", "-q", ".")
}

func (d demo) tell(ctx context.Context) error {
	if err := d.healthy(ctx); err != nil {
		return err
	}
	return d.Show(ctx, "git", "log", "--oneline", "--", "releases/assistant")
}
