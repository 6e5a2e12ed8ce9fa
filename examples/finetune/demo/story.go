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
	run   string // its name
	logs  *said  // is what its trainers say
	began time.Time
	died  time.Time
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

const (
	training    = "models/chat/training/tune.yaml"
	environment = "environments/training/environment.yaml"
)

// init makes the repository, with the images' digests, with fewer steps, and with a node that dies.
func (d *demo) init(ctx context.Context) error {
	trainer, err := d.Push(ctx, "trainer", "trainer", "/trainer")
	if err != nil {
		return err
	}
	publisher, err := d.PushDavit(ctx, "davit")
	if err != nil {
		return err
	}
	if err := d.Copy("finetune"); err != nil {
		return err
	}
	for _, queued := range []string{"models/chat/training/tune-queued.yaml", "environments/queued"} { // this cluster has no Kueue
		if err := os.RemoveAll(filepath.Join(d.Models(), queued)); err != nil {
			return err
		}
	}
	const nothing = "@sha256:0000000000000000000000000000000000000000000000000000000000000000"
	for _, e := range [][3]string{
		{environment, "127.0.0.1:5000/davit" + nothing, publisher},
		{training, "127.0.0.1:5000/trainer" + nothing, trainer},
		{training, "max_steps: 2000, save_steps: 200", "max_steps: 40, save_steps: 10"},
		{training, "  seed: 42\n", "  seed: 42\n  env: {STANDIN_STEP: 200ms, STANDIN_DIE: 25}\n"},
	} {
		if err := d.Edit(e[0], e[1], e[2]); err != nil {
			return err
		}
	}
	if err := d.Init(ctx, "chat v1, and how it is tuned"); err != nil {
		return err
	}
	return d.Show(ctx, "cat", training)
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

// render keeps the run's name.
func (d *demo) render(ctx context.Context) (string, error) {
	fmt.Println("   $ davit render --training chat/tune")
	rendered, err := d.Output(ctx, d.Davit(), "render", "--training", "chat/tune")
	if err != nil {
		return "", err
	}
	name := regexp.MustCompile(`(?m)^    davit.dev/run: (\S+)$`).FindStringSubmatch(rendered)
	if name == nil {
		return "", fmt.Errorf("no run in\n%s", rendered)
	}
	d.run = name[1]
	return rendered + "\n", nil
}

// begin has davit follow the repository, whose training starts by that.
func (d *demo) begin(ctx context.Context) error {
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
	if err := d.Show(ctx, d.Cluster.Bin("kubectl"), "apply", "-f", "../claim.yaml"); err != nil {
		return err
	}
	d.began = time.Now()
	if err := d.StartSync(ctx); err != nil {
		return err
	}
	took, err := d.Until(ctx, "a run started.*run="+d.run, d.began)
	if err != nil {
		return err
	}
	d.Note("davit sync to a run that is there", took)
	if d.Real { // from before its pods run
		d.logs, err = d.follow(ctx)
	}
	return err
}

func (d *demo) die(ctx context.Context) (err error) {
	for _, pattern := range []string{
		`^\[1\] node 1: joined ` + d.run + "-node-0-0." + d.run + ":29500 at step 0",
		`^\[0\] node 0: all 2 nodes are here; step 1 of 40 is next`,
		`^\[0\] node 0: step 10 loss`,
	} {
		if _, err := d.logs.find(ctx, pattern); err != nil {
			return err
		}
	}
	if err := d.Expect(ctx, []string{d.run + ` .*Running [12]0/40 loss=`}, d.Davit(), "train", "list"); err != nil {
		return err
	}
	if _, err := d.logs.find(ctx, `^\[0\] node 0: .*lost node 1`); err != nil {
		return err
	}
	d.died, err = d.logs.find(ctx, `^\[1\] node 1: step 25: dies here`)
	return err
}

func (d *demo) resume(ctx context.Context) error {
	if _, err := d.logs.find(ctx, `^\[0\] node 0: resumes from the checkpoint of step 20`); err != nil {
		return err
	}
	again, err := d.logs.find(ctx, `^\[0\] node 0: all 2 nodes are here; step 21 of 40 is next`)
	if err != nil {
		return err
	}
	d.Note("a node's death to both nodes training again", again.Sub(d.died))
	for _, pattern := range []string{`^\[0\] node 0: done: .*"steps":40`, `^\[0\] \[publisher\] ` + d.run + ` published, sha256:`} {
		if _, err := d.logs.find(ctx, pattern); err != nil {
			return err
		}
	}
	if err := d.logs.end(ctx); err != nil {
		return err
	}
	if n := d.logs.count(" published, "); n != 1 {
		return fmt.Errorf("%d nodes published, want one", n)
	}
	return nil
}

func (d *demo) done(ctx context.Context) error {
	if !d.Real {
		fmt.Println("   the pods are simulated and leave no model, which davit tells from one that was trained:")
		if _, err := d.Until(ctx, "a run ended.*run="+d.run+".*left no image", d.began); err != nil {
			return err
		}
		return d.Expect(ctx, []string{d.run + ` .*Lost`}, d.Davit(), "train", "list")
	}
	if _, err := d.Until(ctx, "a version is proposed.*run="+d.run, d.began); err != nil {
		return err
	}
	d.Note("davit sync to the version that the run made", time.Since(d.began))
	if err := d.Expect(ctx, []string{d.run + ` .*Succeeded → ` + d.run}, d.Davit(), "train", "list"); err != nil {
		return err
	}
	if err := d.restarts(ctx, 1); err != nil {
		return err
	}
	if err := d.Show(ctx, "ls", "-l", "../checkpoints/"+d.run); err != nil {
		return err
	}
	branches, err := d.Output(ctx, "git", "branch", "--list", "davit/train/*", "--format=%(refname:short)")
	if err == nil && branches != "davit/train/chat/"+d.run {
		err = fmt.Errorf("the run made the proposals %q", branches)
	}
	if err != nil {
		return err
	}
	return d.Expect(ctx, []string{`trainedBy: ` + d.run, `baseVersion: (chat@)?v1`, `steps: 40`}, "git", "show", branches+":models/chat/versions/"+d.run+".yaml")
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
	since, before := time.Now(), d.run
	if err := d.Show(ctx, "git", "commit", "-qam", "tune chat with another learning rate"); err != nil {
		return err
	}
	if _, err := d.render(ctx); err != nil {
		return err
	}
	if d.run == before {
		return fmt.Errorf("another hyperparameter makes the same run, %s", d.run)
	}
	took, err := d.Until(ctx, "a run ended.*run="+d.run+".*state=Failed.*flag provided but not defined: -lerning_rate", since)
	if err != nil {
		return err
	}
	d.Note("commit of a mistake to a run that failed", took)
	if err := d.restarts(ctx, 0); err != nil {
		return err
	}
	return d.Expect(ctx, []string{d.run + ` .*Failed`}, d.Davit(), "train", "list")
}
