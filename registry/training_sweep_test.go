package registry_test

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/davit-dev/davit/registry"
)

const sweep = "  sweep: {hyperparameters: {lr: [0.1, 1e-2], epochs: [3, 5, 9]}, metric: f1}\n"

// TestTrials has each combination once, in an order that the file alone decides.
func TestTrials(t *testing.T) {
	single := training(t, trained(t, nil))
	if trials := single.Trials(); len(trials) != 1 || trials[0] != single || single.Values() != nil {
		t.Errorf("without a sweep: %v", trials)
	}
	swept := training(t, trained(t, map[string]string{"models/iris/training/tune.yaml": tune + sweep}))
	var got []string
	for _, trial := range swept.Trials() {
		v := trial.Values()
		got = append(got, v["epochs"]+"/"+v["lr"])
		if trial.TrialOf != swept || trial.Spec.Sweep != nil || len(trial.Values()) != 2 {
			t.Errorf("a trial is %+v", trial)
		}
		if len(trial.Spec.Hyperparameters) != len(swept.Spec.Hyperparameters) || trial.Spec.Hyperparameters["mask"].JSON != "16" {
			t.Errorf("a trial has the hyperparameters %v", trial.Spec.Hyperparameters)
		}
	}
	if text := strings.Join(got, " "); text != "3/0.1 3/1e-2 5/0.1 5/1e-2 9/0.1 9/1e-2" {
		t.Error(text)
	}
	if own := swept.Spec.Hyperparameters; own["epochs"].Value != "3" || own["lr"].Value != "2e-5" {
		t.Errorf("the trials changed the sweep: %v", own)
	}
	bare := registry.Training{Spec: registry.TrainingSpec{Sweep: &registry.Sweep{Hyperparameters: map[string][]registry.Hyperparameter{"lr": {{JSON: "1"}}}}}}
	if trials := bare.Trials(); len(trials) != 1 || trials[0].Spec.Hyperparameters["lr"].JSON != "1" || bare.Spec.Hyperparameters != nil {
		t.Errorf("over none of its own: %+v", trials)
	}
}

// TestTrialHashes are those of the same specs written without a sweep, whatever else the sweep tries.
func TestTrialHashes(t *testing.T) {
	hashes := func(text string) (all []string) {
		t.Helper()
		fsys := trained(t, map[string]string{"models/iris/training/tune.yaml": text})
		for _, trial := range training(t, fsys).Trials() {
			hash, err := trial.RunHash(fsys)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, hash)
		}
		return all
	}
	swept, more := hashes(tune+sweep), hashes(tune+strings.Replace(sweep, "[0.1, ", "[7, 0.1, ", 1))
	if len(swept) != 6 || len(more) != 9 || !reflect.DeepEqual(more[1:3], swept[:2]) || !reflect.DeepEqual(more[7:], swept[4:]) {
		t.Errorf("another value makes\n%q of\n%q", more, swept)
	}
	if one := hashes(strings.NewReplacer("epochs: 3", "epochs: 5", "lr: 2e-5", "lr: 1e-2").Replace(tune)); one[0] != swept[3] {
		t.Errorf("without a sweep it is %s, a trial %s", one[0], swept[3])
	}
	if other := hashes(tune + strings.Replace(sweep, "metric: f1", "metric: f2, goal: min, parallel: 1", 1)); !reflect.DeepEqual(other, swept) {
		t.Error("how the best is found makes other runs")
	}
	for i, again := range hashes(tune + sweep + "  attempt: 1\n") {
		if again == swept[i] {
			t.Errorf("another attempt does not run trial %d again", i)
		}
	}
}

// TestBetter knows numbers from what is none.
func TestBetter(t *testing.T) {
	of := func(v float64) map[string]float64 { return map[string]float64{"f1": v, "other": -v} }
	for i, c := range []struct {
		goal    string
		a, than map[string]float64
		want    bool
	}{
		{"", of(2), of(1), true}, {"max", of(1), of(2), false}, {"max", of(1), of(1), false},
		{"min", of(1), of(2), true}, {"min", of(2), of(1), false}, {"min", of(-1), of(0), true},
		{"min", of(1e9), nil, true}, {"min", nil, of(1e9), false}, {"", nil, nil, false}, {"", of(0), map[string]float64{"f2": 3}, true},
		{"max", of(-1), of(math.NaN()), true}, {"max", of(math.NaN()), of(-1), false}, {"", of(math.NaN()), of(math.NaN()), false},
		{"max", of(math.Inf(1)), of(-1), false}, {"min", of(5), of(math.Inf(-1)), true},
	} {
		s := registry.Sweep{Metric: "f1", Goal: c.goal}
		if got := s.Better(c.a, c.than); got != c.want {
			t.Errorf("%d: %s %v than %v: %v", i, c.goal, c.a, c.than, got)
		}
	}
}

// TestSweepBound counts combinations, however many lists they are of.
func TestSweepBound(t *testing.T) {
	for n, sound := range map[int]bool{10: true, 11: false, 100000: false} {
		var lists []string
		for i, length := range []int{10, 10, n} {
			var values []string
			for v := range length {
				values = append(values, fmt.Sprint(v))
			}
			lists = append(lists, fmt.Sprintf("h%d: [%s]", i, strings.Join(values, ", ")))
		}
		reg := load(t, trained(t, map[string]string{"models/iris/training/tune.yaml": tune + "  sweep: {metric: f1, hyperparameters: {" + strings.Join(lists, ", ") + "}}\n"}))
		if got := reg.Trainings["iris/tune"]; (got != nil) != sound {
			t.Errorf("%d × 100 trials: %v", n, reg.BrokenTrainings["iris/tune"])
		} else if sound && len(got.Trials()) != 1000 {
			t.Error(len(got.Trials()))
		}
	}
}
