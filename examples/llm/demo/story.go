package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/examples/stage"
)

type demo struct {
	*stage.Stage
	revertable string // the commit that promoted v2
}

func (d *demo) build(ctx context.Context) error {
	return d.Build(ctx, map[string]string{"vllm": "./examples/llm/vllm"})
}

const gpu = "nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3"

func (d *demo) start(ctx context.Context) error {
	err := d.Start(ctx, devcluster.Config{GPUs: 24, APIs: []string{"gatewayAPI", "prometheusOperator"}, Controllers: []string{"gateway"}})
	if err != nil {
		return err
	}
	_, err = d.Output(ctx, d.Cluster.Bin("kubectl"), "label", "nodes", "--all", gpu)
	return err
}

// init makes the repository, with the stand-in's digest, and with times and sizes for a demo on a small machine.
func (d *demo) init(ctx context.Context) error {
	ref, err := d.Push(ctx, "vllm", "vllm/vllm-openai", "/usr/local/bin/vllm")
	if err != nil {
		return err
	}
	if err := d.Copy("llm"); err != nil {
		return err
	}
	const placeholder = "docker.io/vllm/vllm-openai@sha256:0000000000000000000000000000000000000000000000000000000000000000"
	edits := [][3]string{
		{"runtimes/vllm/0.11.2/runtime.yaml", placeholder, ref},
		{"runtimes/vllm/0.11.2/deployment.yaml", "sleep: {seconds: 30}", "sleep: {seconds: 2}"},
		{"runtimes/vllm/0.11.2/deployment.yaml", "periodSeconds: 5", "periodSeconds: 1"},
		{"environments/staging/environment.yaml", "bake: 1m", "bake: 3s"},
		{"environments/production/environment.yaml", "bake: 10m", "bake: 3s"},
		{"releases/chat/serving.yaml", "{cpu: 8, memory: 96Gi}", "{cpu: 20m, memory: 64Mi}"},
		{"releases/chat/production.yaml", "pause: 10m", "pause: 8s"},
		{"releases/chat/production.yaml", "pause: 20m", "pause: 8s"},
	}
	if !d.Real { // nothing answers in a simulated pod
		edits = append(edits, [3]string{"releases/chat/serving.yaml", "smokeTest:", "#smokeTest:"})
	}
	for _, e := range edits {
		if err := d.Edit(e[0], e[1], e[2]); err != nil {
			return err
		}
	}
	return d.Init(ctx, "chat v1 in staging and production")
}

func (d *demo) first(ctx context.Context) error {
	since := time.Now()
	if err := d.StartSync(ctx); err != nil {
		return err
	}
	for range 2 {
		if _, err := d.Until(ctx, `(staging|production)/chat +v1 +Healthy`, since); err != nil {
			return err
		}
	}
	d.Note("first sync, image built, to Healthy in both", time.Since(since))
	return nil
}

// look shows the shape of production's objects.
func (d *demo) look(ctx context.Context) error {
	return d.Show(ctx, d.Cluster.Bin("kubectl"), "get", "-n", "production", "services,deployments,pods,poddisruptionbudgets,networkpolicies,httproutes,servicemonitors", "--no-headers", "-o",
		"custom-columns=KIND:.kind,NAME:.metadata.name,VERSION:.metadata.labels.davit\\.dev/version")
}

func (d *demo) plan(ctx context.Context) error {
	if err := d.promote("v1", "v2"); err != nil {
		return err
	}
	return d.Show(ctx, d.Davit(), "plan", "production/chat", "--server")
}

func (d *demo) promote(from, to string) error {
	fmt.Printf("   $ sed -i 's/version: %s/version: %s/' releases/chat/production.yaml\n", from, to)
	return d.Edit("releases/chat/production.yaml", "version: "+from, "version: "+to)
}

func (d *demo) commit(ctx context.Context, message string) (time.Time, error) {
	return time.Now(), d.Show(ctx, "git", "commit", "-qam", message)
}

func (d *demo) canary(ctx context.Context) error {
	since, err := d.commit(ctx, "promote chat v2 to production")
	if err != nil {
		return err
	}
	if d.revertable, err = d.Output(ctx, "git", "rev-parse", "--short", "HEAD"); err != nil {
		return err
	}
	for _, percent := range []int{5, 25, 50} {
		if _, err := d.Until(ctx, fmt.Sprintf(`production/chat +v2 +Progressing .*has %d%% of the traffic`, percent), since); err != nil {
			return err
		}
		if err := d.expect(ctx, percent, 100-percent); err != nil {
			return err
		}
	}
	took, err := d.Until(ctx, `production/chat +v2 +Healthy`, since)
	if err != nil {
		return err
	}
	d.Note("canary: commit to Healthy, pauses of 3 × 8 s included", took)
	return d.expect(ctx, 100, 0)
}

// revert measures from the commit to the first answer that all come from v1 again.
func (d *demo) revert(ctx context.Context) error {
	since := time.Now()
	if err := d.Show(ctx, "git", "revert", "--no-edit", d.revertable); err != nil {
		return err
	}
	took, err := d.Until(ctx, `production/chat +v1 +Progressing .*all traffic goes to v1`, since)
	if err != nil {
		return err
	}
	d.Note("git revert: commit to all traffic at v1", took)
	if took, err = d.Until(ctx, `production/chat +v1 +Healthy`, since); err != nil {
		return err
	}
	d.Note("git revert: commit to Healthy", took)
	return d.v1(ctx)
}

func (d *demo) v1(ctx context.Context) error { return d.expect(ctx, 0, 100) }

// leaky sends requests until the canary has died, and counts what its users saw of it.
func (d *demo) leaky(ctx context.Context) error {
	if err := d.promote("v1", "v3"); err != nil {
		return err
	}
	since, err := d.commit(ctx, "promote chat v3 to production")
	if err != nil {
		return err
	}
	if _, err := d.Until(ctx, `production/chat +v3 +Progressing .*has 5% of the traffic`, since); err != nil {
		return err
	}
	asking, stop := context.WithCancel(ctx)
	defer stop()
	counted := make(chan answers, 1)
	go func() { counted <- d.ask(asking, 1<<30) }()
	if _, err := d.Until(ctx, `production/chat +v3 +Failed`, since); err != nil {
		return err
	}
	took, err := d.Until(ctx, `production/chat +v1 +RolledBack`, since)
	if err != nil {
		return err
	}
	d.Note("a canary that dies: commit to rolled back and baked", took)
	stop()
	seen := <-counted
	fmt.Printf("     %d requests while v3 had a share of them: %d answered by v1, %d by v3, %d failed\n", seen.all(), seen.old, seen.leaky, seen.failed)
	if seen.old < seen.all()*9/10 {
		return fmt.Errorf("v1 answered only %d of %d", seen.old, seen.all())
	}
	return d.Show(ctx, d.Davit(), "status", "production/chat")
}

func (d *demo) tell(ctx context.Context) error {
	return d.All(ctx, []string{d.Davit(), "status"}, []string{d.Davit(), "history", "production/chat"})
}

// answers counts who answered.
type answers struct{ old, new, leaky, failed int }

func (a answers) all() int { return a.old + a.new + a.leaky + a.failed }

// expect sends a hundred requests and wants v2 and v1 to answer about so many of them. A gateway takes a moment to
// follow its route.
func (d *demo) expect(ctx context.Context, v2, v1 int) error {
	if !d.Real {
		return nil
	}
	const tolerance = 3
	var seen answers
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		seen = d.ask(ctx, 100)
		if seen.new >= v2-tolerance && seen.new <= v2+tolerance && seen.old >= v1-tolerance && seen.old <= v1+tolerance {
			fmt.Printf("     100 requests to http://chat.models.example.com/v1/chat/completions: %d answered by v2, %d by v1\n", seen.new, seen.old)
			return nil
		}
	}
	return fmt.Errorf("of 100 requests want %d answered by v2 and %d by v1: %+v", v2, v1, seen)
}

// ask sends up to n requests through the gateway, one after the other, until ctx ends.
func (d *demo) ask(ctx context.Context, n int) (seen answers) {
	client := &http.Client{Timeout: 5 * time.Second}
	for range n {
		if ctx.Err() != nil {
			break
		}
		switch said, err := d.say(client); {
		case err != nil:
			seen.failed++
		case strings.HasPrefix(said, "Good day to you"):
			seen.new++
		case strings.HasPrefix(said, "Good day"):
			seen.old++
		default:
			seen.leaky++
		}
	}
	return seen
}

func (d *demo) say(client *http.Client) (string, error) {
	const question = `{"model": "chat", "messages": [{"role": "user", "content": "Hello"}]}`
	req, err := http.NewRequest(http.MethodPost, "http://"+d.Cluster.Gateway+"/v1/chat/completions", strings.NewReader(question))
	if err != nil {
		return "", err
	}
	req.Host = "chat.models.example.com"
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %s: %w", resp.Status, err)
	}
	var got struct {
		Choices []struct{ Message struct{ Content string } }
	}
	if err := json.Unmarshal(body, &got); err != nil || len(got.Choices) != 1 {
		return "", fmt.Errorf("answer %s: %w", body, err)
	}
	return got.Choices[0].Message.Content, nil
}
