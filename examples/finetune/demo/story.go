package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/examples/stage"
)

type demo struct {
	*stage.Stage
	run     string // its name
	applied time.Time
	died    time.Time
}

func (d *demo) build(ctx context.Context) error {
	return d.Build(ctx, map[string]string{"trainer": "./examples/finetune/trainer"})
}

const gpu = "nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3"

func (d *demo) start(ctx context.Context) error {
	cfg := devcluster.Config{GPUs: 8, Controllers: []string{"jobset"}}
	if d.Real {
		cfg.GPUs = 16 // of the one node, which runs both pods
	}
	if err := d.Start(ctx, cfg); err != nil {
		return err
	}
	_, err := d.kubectl(ctx, "label", "nodes", "--all", gpu)
	return err
}

func (d *demo) kubectl(ctx context.Context, args ...string) (string, error) {
	return d.Output(ctx, d.Cluster.Bin("kubectl"), args...)
}

const training = "models/chat/training/tune.yaml"

// init makes the repository, with the stand-in's digest, with fewer steps, and with a node that dies.
func (d *demo) init(ctx context.Context) error {
	ref, err := d.Push(ctx, "trainer", "trainer", "/trainer")
	if err != nil {
		return err
	}
	if err := d.Copy("finetune"); err != nil {
		return err
	}
	for _, e := range [][2]string{
		{"127.0.0.1:5000/trainer@sha256:0000000000000000000000000000000000000000000000000000000000000000", ref},
		{"max_steps: 2000, save_steps: 200", "max_steps: 40, save_steps: 10"},
		{"  seed: 42\n", "  seed: 42\n  env: {STANDIN_STEP: 200ms, STANDIN_DIE: 25}\n"},
	} {
		if err := d.Edit(training, e[0], e[1]); err != nil {
			return err
		}
	}
	return d.All(ctx,
		[]string{"git", "init", "-q", "-b", "main"},
		[]string{"git", "add", "."},
		[]string{"git", "commit", "-qm", "chat v1, and how it is tuned"},
		[]string{d.Davit(), "validate"},
		[]string{"cat", training},
	)
}

// look renders the run that the training's spec makes, and shows it in part.
func (d *demo) look(ctx context.Context) error {
	if err := d.Show(ctx, d.Davit(), "build", "chat@v1"); err != nil {
		return err
	}
	rendered, err := d.render(ctx)
	if err != nil {
		return err
	}
	some, err := part(rendered)
	if err != nil {
		return err
	}
	spec, err := os.ReadFile(filepath.Join(d.Models(), training))
	if err != nil {
		return err
	}
	fmt.Printf("   %d lines became %d, of which these are some:\n", strings.Count(string(spec), "\n"), strings.Count(rendered, "\n"))
	for line := range strings.Lines(some) {
		fmt.Print("     " + line)
	}
	return nil
}

// render keeps the run's objects in run.yaml, beside the registry, and its name.
func (d *demo) render(ctx context.Context) (string, error) {
	fmt.Println("   $ davit render --training chat/tune > ../run.yaml")
	rendered, err := d.Output(ctx, d.Davit(), "render", "--training", "chat/tune")
	if err != nil {
		return "", err
	}
	name := regexp.MustCompile(`(?m)^    davit.dev/run: (\S+)$`).FindStringSubmatch(rendered)
	if name == nil {
		return "", fmt.Errorf("no run in\n%s", rendered)
	}
	d.run, rendered = name[1], rendered+"\n"
	return rendered, os.WriteFile(filepath.Join(d.Dir, "run.yaml"), []byte(rendered), 0o644)
}

// apply starts the run by hand: its environment names no publisher, so davit leaves it alone.
func (d *demo) apply(ctx context.Context) error {
	claim, err := os.ReadFile(filepath.Join("examples", "finetune", "claim.yaml"))
	if err != nil {
		return err
	}
	folder := filepath.Join(d.Dir, "checkpoints")
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	claim = []byte(strings.ReplaceAll(string(claim), "/var/lib/checkpoints", folder))
	if err := os.WriteFile(filepath.Join(d.Dir, "claim.yaml"), claim, 0o644); err != nil {
		return err
	}
	kubectl := d.Cluster.Bin("kubectl")
	if err := d.Show(ctx, kubectl, "apply", "-f", "../claim.yaml"); err != nil {
		return err
	}
	d.applied = time.Now()
	if err := d.Show(ctx, kubectl, "apply", "--server-side", "-f", "../run.yaml"); err != nil {
		return err
	}
	if err := d.started(ctx, 0); err != nil {
		return err
	}
	d.Note("kubectl apply to two pods that run", time.Since(d.applied))
	return d.Show(ctx, kubectl, "get", "pods", "-n", "training", "-l", "davit.dev/run="+d.run, "-o",
		`custom-columns=POD:.metadata.name,HOSTNAME:.spec.hostname,NODE_RANK:.metadata.annotations.batch\.kubernetes\.io/job-completion-index,GPUS:.spec.containers[0].resources.limits.nvidia\.com/gpu,PHASE:.status.phase`)
}

// pods selects an attempt's: JobSet numbers them.
func (d *demo) pods(attempt int) string {
	return fmt.Sprintf("davit.dev/run=%s,jobset.sigs.k8s.io/restart-attempt=%d", d.run, attempt)
}

// started waits until both pods of an attempt run, or have run.
func (d *demo) started(ctx context.Context, attempt int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		phases, err := d.kubectl(ctx, "get", "pods", "-n", "training", "-l", d.pods(attempt), "-o", "jsonpath={.items[*].status.phase}")
		if err == nil && len(strings.Fields(phases)) == 2 && !strings.Contains(phases, "Pending") {
			return nil
		}
		select {
		case <-ctx.Done():
			said, _ := d.kubectl(context.WithoutCancel(ctx), "describe", "pods", "-n", "training")
			return fmt.Errorf("attempt %d of %s did not start: pods are %q: %w\n%s", attempt, d.run, phases, err, said)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (d *demo) die(ctx context.Context) error {
	said, err := d.follow(ctx, 0)
	if err != nil {
		return err
	}
	if _, err := said.find("node 1: joined " + d.run + "-node-0-0." + d.run + ":29500 at step 0"); err != nil {
		return err
	}
	if _, err := said.find("node 0: step 20 loss"); err != nil {
		return err
	}
	if _, err = said.find("node 0: .*lost node 1"); err != nil {
		return err
	}
	d.died, err = said.find("node 1: step 25: dies here")
	return err
}

func (d *demo) resume(ctx context.Context) error {
	if err := d.started(ctx, 1); err != nil {
		return err
	}
	said, err := d.follow(ctx, 1)
	if err != nil {
		return err
	}
	if _, err := said.find("node 0: resumes from the checkpoint of step 20"); err != nil {
		return err
	}
	again, err := said.find("node 0: all 2 nodes are here; step 21 of 40 is next")
	if err != nil {
		return err
	}
	d.Note("a node's death to both nodes training again", again.Sub(d.died))
	_, err = said.find(`node 0: done: .*"steps":40`)
	return err
}

func (d *demo) done(ctx context.Context) error {
	kubectl := d.Cluster.Bin("kubectl")
	if _, err := d.kubectl(ctx, "wait", "jobset/"+d.run, "-n", "training", "--for=condition=Completed", "--timeout=60s"); err != nil {
		return err
	}
	d.Note("kubectl apply to a run that is done", time.Since(d.applied))
	if err := d.Show(ctx, kubectl, "get", "jobset", "-n", "training"); err != nil {
		return err
	}
	if !d.Real {
		return nil
	}
	if err := d.restarts(ctx, 1); err != nil {
		return err
	}
	return d.Show(ctx, "ls", "-l", "../checkpoints/"+d.run)
}

// restarts wants the set to have begun anew so many times.
func (d *demo) restarts(ctx context.Context, want int) error {
	got, err := d.kubectl(ctx, "get", "jobset", d.run, "-n", "training", "-o", "jsonpath={.status.restarts}")
	if err == nil && got != fmt.Sprint(want) {
		err = fmt.Errorf("set %s began anew %q times, want %d", d.run, got, want)
	}
	return err
}

// mistake misspells a hyperparameter. The trainer ends with exit code 2, wrong usage, which no retry cures.
func (d *demo) mistake(ctx context.Context) error {
	fmt.Printf("   $ sed -i s/learning_rate/lerning_rate/ %s\n", training)
	if err := d.Edit(training, "learning_rate", "lerning_rate"); err != nil {
		return err
	}
	if err := d.Show(ctx, "git", "commit", "-qam", "tune chat with another learning rate"); err != nil {
		return err
	}
	before := d.run
	if _, err := d.render(ctx); err != nil {
		return err
	}
	if d.run == before {
		return fmt.Errorf("another hyperparameter makes the same run, %s", d.run)
	}
	kubectl, since := d.Cluster.Bin("kubectl"), time.Now()
	if err := d.Show(ctx, kubectl, "apply", "--server-side", "-f", "../run.yaml"); err != nil {
		return err
	}
	if _, err := d.kubectl(ctx, "wait", "jobset/"+d.run, "-n", "training", "--for=condition=Failed", "--timeout=60s"); err != nil {
		return err
	}
	d.Note("kubectl apply of a mistake to a run that failed", time.Since(since))
	if err := d.Show(ctx, kubectl, "get", "jobset", "-n", "training"); err != nil {
		return err
	}
	if err := d.restarts(ctx, 0); err != nil {
		return err
	}
	why, err := d.kubectl(ctx, "get", "pods", "-n", "training", "-l", d.pods(0), "-o",
		`jsonpath={range .items[*].status.containerStatuses[0].state.terminated}exit code {.exitCode}: {.message}{"\n"}{end}`)
	if err != nil {
		return err
	}
	for line := range strings.Lines(why) {
		if line = strings.TrimSpace(line); line != "" { // a message ends a line by itself
			fmt.Println("     " + line)
		}
	}
	if !strings.Contains(why, "exit code 2: trainer stand-in: flag provided but not defined: -lerning_rate") {
		return fmt.Errorf("the pods do not say why they ended: %q", why)
	}
	return nil
}
