package registry_test

import (
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/davit-dev/davit/registry"
)

const trainer = "127.0.0.1:5000/trainer@sha256:0000000000000000000000000000000000000000000000000000000000000000"

// tune is a sound training of iris, with everything a spec may have.
const tune = `apiVersion: davit.dev/v1alpha1
kind: Training
spec:
  environment: production
  image: ` + trainer + `
  command: [torchrun, train.py]
  accelerator: gpu
  gpus: 8
  nodes: 2
  hyperparameters: {epochs: 3, lr: 2e-5, bf16: true, shuffle: false, name: "7", half: .5, mask: 0x10, limit: .inf, text: a<b}
  env: {NCCL_DEBUG: INFO, TOKEN: {secret: hf, key: token}}
  resources: {cpu: 16, memory: 200Gi}
  datasets: [{name: alpaca-2, uri: s3://data/alpaca, sha256: cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc}]
  seed: 42
  baseVersion: v1
  queue: team-a
  priority: high
  topology: {required: topology.kubernetes.io/rack}
  checkpoints: {claim: ckpt-pvc, path: /checkpoints}
  retries: 3
  fatalExitCodes: [2]
  deadline: 48h
  ttl: 1h
  output: 50
  onRemove: cancel
`

const kueue = `apiVersion: davit.dev/v1alpha1
kind: Environment
spec: {runtimes: {custom: "1.0"}, capabilities: {features: [kueue]}}
`

// trained is the base with files laid over it, tune among them.
func trained(t testing.TB, over map[string]string) fstest.MapFS {
	fsys := base(t)
	lay(fsys, "environments/production/environment.yaml", kueue)
	lay(fsys, "models/iris/training/tune.yaml", tune)
	for name, text := range over {
		lay(fsys, name, text)
	}
	return fsys
}

func training(t testing.TB, fsys fstest.MapFS) *registry.Training {
	t.Helper()
	reg := load(t, fsys)
	if reg.Trainings["iris/tune"] == nil {
		t.Fatal(reg.BrokenTrainings)
	}
	return reg.Trainings["iris/tune"]
}

func TestTrainingIsRead(t *testing.T) {
	got := training(t, trained(t, nil))
	for name, want := range map[string]registry.Hyperparameter{
		"epochs":  {Arg: registry.Arg{Value: "3"}, JSON: "3"},
		"lr":      {Arg: registry.Arg{Value: "2e-5"}, JSON: "2e-5"},
		"bf16":    {Arg: registry.Arg{Value: "true", True: true}, JSON: "true"},
		"shuffle": {Arg: registry.Arg{Value: "false"}, JSON: "false"},
		"name":    {Arg: registry.Arg{Value: "7"}, JSON: `"7"`},
		"half":    {Arg: registry.Arg{Value: ".5"}, JSON: "0.5"},
		"mask":    {Arg: registry.Arg{Value: "0x10"}, JSON: "16"},
		"limit":   {Arg: registry.Arg{Value: ".inf"}, JSON: `".inf"`},
		"text":    {Arg: registry.Arg{Value: "a<b"}, JSON: `"a<b"`},
	} {
		if got.Spec.Hyperparameters[name] != want {
			t.Errorf("%s is %+v, want %+v", name, got.Spec.Hyperparameters[name], want)
		}
	}
	s := got.Spec
	if *s.Seed != 42 || s.Output != "50" || s.Checkpoints.Claim != "ckpt-pvc" || s.Datasets[0].Variable() != "DAVIT_DATASET_ALPACA_2" ||
		got.BaseRepository() != "127.0.0.1:5000/models/iris" || got.Accelerator.Name != "gpu" || got.Component != "" {
		t.Errorf("read as %+v", got)
	}
}

// TestRunHash changes one thing at a time: what the result depends on makes another run, what only says where and
// how long it runs does not.
func TestRunHash(t *testing.T) {
	hashOf := func(fsys fstest.MapFS) string {
		t.Helper()
		hash, err := training(t, fsys).RunHash(fsys)
		if err != nil || len(hash) != 64 {
			t.Fatal(hash, err)
		}
		return hash
	}
	was := hashOf(trained(t, nil))
	for change, moves := range map[string]bool{
		"trainer@sha256:00 → trainer@sha256:11": true, "train.py → other.py": true, "epochs: 3 → epochs: 4": true, `name: "7" → name: 7`: true,
		"bf16: true → bf16: \"true\"": true, "INFO → WARN": true, "key: token → key: other": true, "s3://data/alpaca → s3://data/other": true,
		"seed: 42 → seed: 43": true, "  seed: 42\n → ": true, "gpus: 8 → gpus: 4": true, "nodes: 2 → nodes: 3": true, "baseVersion: v1 → baseVersion: v2": true,
		"  baseVersion: v1\n → ": true, "[torchrun, train.py] → [torchrun train.py]": true,

		"baseVersion: v1 → baseVersion: iris@v1": false, "cpu: 16 → cpu: 8": false, "queue: team-a → queue: team-b": false, "priority: high → priority: low": false,
		"required: → preferred:": false, "claim: ckpt-pvc → claim: other": false, "retries: 3 → retries: 0": false, "[2] → []": false,
		"deadline: 48h → deadline: 1h": false, "ttl: 1h → ttl: 2h": false, "output: 50 → output: 60Gi": false, "onRemove: cancel → onRemove: keep": false,
		"output: 50 → version: v{n}": false, "output: 50 → merge: auto": false, "output: 50 → keep: 3": false, "output: 50 → attempt: 0": false, "output: 50 → attempt: 1": true, "environment: production → environment: test": false,
		"{epochs: 3, lr: 2e-5, → {lr: 2e-5, epochs: 3,": false, "accelerator: gpu → accelerator: gpu # a comment": false,
	} {
		from, to, _ := strings.Cut(change, " → ")
		if !strings.Contains(tune, from) {
			t.Fatalf("no %q", from)
		}
		got := hashOf(trained(t, map[string]string{"models/iris/training/tune.yaml": strings.Replace(tune, from, to, 1), "environments/test/environment.yaml": kueue}))
		if (got != was) != moves {
			t.Errorf("%s: another run: %v, want %v", change, got != was, moves)
		}
	}

	var attempts []string
	for _, n := range []string{"1", "2"} {
		attempts = append(attempts, hashOf(trained(t, map[string]string{"models/iris/training/tune.yaml": tune + "  attempt: " + n + "\n"})))
	}
	if attempts[0] == attempts[1] {
		t.Error("a second attempt is no other run than the first")
	}

	const component = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
	for _, c := range []struct {
		moves bool
		files map[string]string
	}{
		{true, map[string]string{"models/iris/training/tune/kustomization.yaml": component}},
		{false, map[string]string{"models/iris/training/tune/notes.md": "no Component"}},
		{false, map[string]string{"environments/production/kustomization.yaml": component, "accelerators/gpu/patch.yaml": "x", "models/iris/README.md": "x"}},
		{true, map[string]string{"models/iris/versions/v1.yaml": strings.Replace(string(base(t)["models/iris/versions/v1.yaml"].Data), "aaaa", "bbbb", 1)}},
		{false, map[string]string{"models/iris/versions/v1.yaml": string(base(t)["models/iris/versions/v1.yaml"].Data) + "  metrics: {f1: 0.9}\n"}},
	} {
		if got := hashOf(trained(t, c.files)); (got != was) != c.moves {
			t.Errorf("with %v: another run: %v, want %v", c.files, got != was, c.moves)
		}
	}
	with := map[string]string{"models/iris/training/tune/kustomization.yaml": component}
	before := hashOf(trained(t, with))
	with["models/iris/training/tune/patch.yaml"] = "x"
	if hashOf(trained(t, with)) == before {
		t.Error("a file of the training's Component makes no other run")
	}
}

func TestRunName(t *testing.T) {
	name := training(t, trained(t, nil)).RunName(strings.Repeat("0123456789abcdef", 4))
	if name != "tune-01234567" {
		t.Error(name)
	}
}

// TestTrainingsTouchNoRelease changes trainings in every way.
func TestTrainingsTouchNoRelease(t *testing.T) {
	reg := load(t, trained(t, nil))
	for _, text := range []string{"", strings.Replace(tune, "seed: 42", "seed: 43", 1), "a: ["} {
		fsys := trained(t, map[string]string{"models/iris/training/tune.yaml": text})
		next, err := reg.Update(fsys, []string{"models/iris/training/tune.yaml"})
		if err != nil {
			t.Fatal(err)
		}
		if len(next.Touched()) > 0 || len(next.Broken) > 0 || len(next.Releases) != 2 {
			t.Errorf("with %q: touched %v, broken %v", text, next.Touched(), next.Broken)
		}
		if d := difference(next, load(t, fsys)); d != "" {
			t.Errorf("with %q: Update and Load differ in %s", text, d)
		}
		if d := difference(reg, load(t, trained(t, nil))); d != "" {
			t.Errorf("Update changed the registry before: %s", d)
		}
	}
}

func FuzzTraining(f *testing.F) {
	f.Add([]byte(tune))
	f.Add([]byte("apiVersion: davit.dev/v1alpha1\nkind: Training\nspec: {nodes: 0, hyperparameters: {a: [b]}, datasets: [null, {}], checkpoints: {}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		fsys := trained(t, nil)
		reg := load(t, fsys)
		fsys = maps.Clone(fsys)
		fsys["models/iris/training/tune.yaml"] = &fstest.MapFile{Data: data}
		updated, err := reg.Update(fsys, []string{"models/iris/training/tune.yaml"})
		if err != nil {
			t.Fatal(err)
		}
		if d := difference(updated, load(t, fsys)); d != "" {
			t.Fatalf("Update and Load differ in %s", d)
		}
		if sound := updated.Trainings["iris/tune"]; sound != nil {
			if _, err := sound.RunHash(fsys); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestTrainingHints adds what a fault of a training lists.
func TestTrainingHints(t *testing.T) {
	before := trained(t, map[string]string{"models/iris/training/tune.yaml": strings.Replace(tune, "accelerator: gpu", "accelerator: h100", 1)})
	reg := load(t, before)
	after := maps.Clone(before)
	lay(after, "accelerators/h200/accelerator.yaml", string(before["accelerators/gpu/accelerator.yaml"].Data))
	lay(after, "accelerators/h200/kustomization.yaml", string(before["accelerators/gpu/kustomization.yaml"].Data))
	next, err := reg.Update(after, differing(before, after))
	if err != nil {
		t.Fatal(err)
	}
	if got := next.BrokenTrainings["iris/tune"][0].Text; got != `accelerator "h100" does not exist; did you mean "h200"?` {
		t.Error(got)
	}
	if d := difference(next, load(t, after)); d != "" {
		t.Errorf("Update and Load differ in %s", d)
	}
}

// TestTrainingOfTwoTeams is broken in both, and mended when one is gone.
func TestTrainingOfTwoTeams(t *testing.T) {
	one := trained(t, nil)
	two := maps.Clone(one)
	lay(two, "teams/a/models/iris/model.yaml", string(one["models/iris/model.yaml"].Data))
	lay(two, "teams/a/models/iris/training/tune.yaml", tune)
	reg := load(t, two)
	if n := len(reg.BrokenTrainings["iris/tune"]); n != 2 || len(reg.Trainings) > 0 {
		t.Errorf("broken by %v, sound %v", reg.BrokenTrainings, reg.Trainings)
	}
	next, err := reg.Update(one, differing(one, two))
	if err != nil {
		t.Fatal(err)
	}
	if len(next.BrokenTrainings) > 0 || next.Trainings["iris/tune"] == nil {
		t.Errorf("broken by %v", next.BrokenTrainings)
	}
}
