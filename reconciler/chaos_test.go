package reconciler_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestChaosModel plays random scripts of what people, Git and faults may do to a real cluster, and compares what davit makes
// of it with a model. One that fails is shrunk and told: put it below testdata/model, where each is played first. With
// DAVIT_CHAOS=N it plays N of DAVIT_STEPS (40) steps, from DAVIT_SEED on; and in place of those kept what DAVIT_SCRIPT names.
func TestChaosModel(t *testing.T) {
	t.Parallel()
	kept, err := filepath.Glob(cmp.Or(os.Getenv("DAVIT_SCRIPT"), "testdata/model/*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range kept {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := played(t, stepsOf(string(text)), nil); err != nil {
				t.Fatal(err)
			}
		})
	}
	rounds, steps, seed := numberOf("DAVIT_CHAOS", 4), numberOf("DAVIT_STEPS", 40), numberOf("DAVIT_SEED", 1)
	if os.Getenv("DAVIT_CHAOS") == "" {
		steps = 12
	}
	for i := range rounds {
		t.Run(fmt.Sprint("seed-", seed+i), func(t *testing.T) {
			t.Parallel()
			script := generate(uint64(seed+i), steps)
			n, err := played(t, script, nil)
			if err == nil {
				t.Logf("%d steps", n)
				return
			}
			t.Errorf("seed %d, step %d: %v\n\n%s", seed+i, n, err, strings.Join(script[:min(n, len(script))], "\n"))
			short := shrink(script[:min(n, len(script))], 5*time.Minute, func(script []string) bool {
				_, err := played(t, script, nil)
				return err != nil && !errors.Is(err, context.Canceled)
			})
			t.Errorf("shrunk to:\n%s", strings.Join(short, "\n"))
		})
	}
}

// TestShrink: of a failing script what it takes to fail is left, in few tries.
func TestShrink(t *testing.T) {
	tries := 0
	script := slices.Insert(slices.Insert(generate(7, 40), 10, "readme"), 30, "restart")
	got := shrink(script, time.Minute, func(script []string) bool {
		tries++
		text := strings.Join(script, "\n")
		at := strings.Index(text, "readme")
		return at >= 0 && strings.Contains(text[at:], "restart")
	})
	if !slices.Equal(got, []string{"readme", "restart"}) || tries > 150 {
		t.Errorf("%q after %d tries", got, tries)
	}
}

// TestChaosModelFinds: a mistake in the model is found by a real cluster, and its script shrunk to the steps that show it.
func TestChaosModelFinds(t *testing.T) {
	t.Parallel()
	fails := func(script []string) bool {
		for range 10 {
			_, err := played(t, script, func(p *play) { p.m.wrong, p.patience, p.brief = "suspension", 4*time.Second, true })
			switch {
			case err == nil || t.Context().Err() != nil:
				return false
			case strings.Contains(err.Error(), "production/iris is\n    Healthy, was healthy at v1, suspended"):
				return true
			}
			t.Logf("%q: %v; once more, the machine may be slow", script, err)
		}
		return false
	}
	script := []string{"suspend production/iris", "merge 0 promote production/iris v2; touch b", "kill"}
	if !fails(script) {
		t.Fatal("a suspension that holds nothing back is not found")
	}
	if got := shrink(script, 10*time.Minute, fails); !slices.Equal(got, []string{"suspend production/iris", "promote production/iris v2"}) {
		t.Errorf("shrunk to %q", got)
	}
}

func numberOf(name string, or int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return or
}

func stepsOf(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }

// played plays a script in a world of its own, and says how far it came.
func played(t *testing.T, script []string, change func(*play)) (n int, err error) {
	t.Helper()
	p := newPlay(t, slices.Contains(script, "signed"))
	defer p.clear()
	if change != nil {
		change(p)
	}
	if err := p.start(); err != nil {
		return 0, err
	}
	for i, step := range script {
		if err := p.do(step); err != nil {
			return i + 1, fmt.Errorf("%s: %w", step, err)
		}
	}
	return len(script), p.end()
}

// clear takes the world away: there may be thousands.
func (p *play) clear() {
	if err := p.kill(); err != nil {
		p.t.Log(err)
	}
	for _, env := range environments {
		_ = p.kubectl().CoreV1().Namespaces().Delete(context.WithoutCancel(p.t.Context()), p.namespace(env), deleteNow)
	}
	_ = os.RemoveAll(p.dir)
	_ = os.RemoveAll(p.mirror)
}
