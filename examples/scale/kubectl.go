package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/davit-dev/davit/examples/scale/generate"
	"github.com/davit-dev/davit/examples/scale/results"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render"
)

// overlays writes the Kustomize trees of all releases, as davit render --overlays does, and a kustomization that
// lists them all. It returns its folder.
func (w *world) overlays() (string, error) {
	dir := filepath.Join(w.dir, "overlays")
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	models, err := registry.Load(os.DirFS(w.repo.dir))
	if err != nil {
		return "", err
	}
	list := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n"
	for _, r := range models.Releases {
		tree, err := render.Overlay(models.FS(), r, image.Placeholder(r.Repository()))
		if err != nil {
			return "", err
		}
		for name, data := range tree {
			if err := write(filepath.Join(dir, name), string(data)); err != nil {
				return "", err
			}
		}
		list += "  - ../" + r.Key().String() + "\n"
	}
	return dir, write(filepath.Join(dir, "all", "kustomization.yaml"), list)
}

func write(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// apply runs kubectl apply for each folder, one after the other, as a script would.
func (w *world) apply(ctx context.Context, dirs ...string) (time.Duration, error) {
	began := time.Now()
	for _, dir := range dirs {
		cmd := exec.CommandContext(ctx, w.dev.Bin("kubectl"), "--kubeconfig", w.dev.Kubeconfig, "apply", "--server-side", "-k", dir)
		cmd.Env = append(os.Environ(), "HOME="+w.dir) // its cache of the API server's discovery
		if out, err := cmd.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("kubectl apply: %w\n%s", err, out)
		}
	}
	return time.Since(began), nil
}

// kubectlEach runs one kubectl for each release.
func (b *bench) kubectlEach(ctx context.Context, w *world) error {
	return b.kubectl(ctx, w, kubectlRun{"kubectl, one for each", "one `kubectl apply --server-side -k` for each release"}, func(dir string) (dirs []string) {
		for _, r := range w.repo.releases {
			dirs = append(dirs, filepath.Join(dir, generate.Environment, r.Name))
		}
		return dirs
	})
}

// kubectlAll runs one kubectl over all of them.
func (b *bench) kubectlAll(ctx context.Context, w *world) error {
	return b.kubectl(ctx, w, kubectlRun{"kubectl, one for all", "one `kubectl apply --server-side -k` over all releases"}, func(dir string) []string {
		return []string{filepath.Join(dir, "all")}
	})
}

// kubectlRun names a way to use kubectl, for the plot and for the table.
type kubectlRun struct{ short, what string }

// kubectl applies everything, and everything again after one line changed: a script knows no better.
func (b *bench) kubectl(ctx context.Context, w *world, run kubectlRun, dirs func(string) []string) error {
	n := len(w.repo.releases)
	say("%s, %d releases", run.short, n)
	overlays, err := w.overlays()
	if err != nil {
		return err
	}
	first, err := w.apply(ctx, dirs(overlays)...)
	if err != nil {
		return err
	}
	if err := w.quiet(ctx, time.Minute); err != nil {
		return err
	}
	promotion := w.repo.promote(w.repo.releases[n/2])
	if err := write(filepath.Join(w.repo.dir, promotion.file), promotion.text); err != nil {
		return err
	}
	if overlays, err = w.overlays(); err != nil {
		return err
	}
	again, err := w.apply(ctx, dirs(overlays)...)
	if err != nil {
		return err
	}
	each := func(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()/float64(n)) }
	row := results.Row{
		Releases: n, What: "peer: " + run.what + ": first / after one changed line, and for each release",
		Measured: fmt.Sprintf("%s / %s; %s / %s", seconds(first), seconds(again), each(first), each(again)),
		Values:   map[string]float64{"firstSeconds": first.Seconds(), "againSeconds": again.Seconds()},
	}
	say("%s", row.Measured)
	b.results.Add(row)
	rate := float64(n*generate.Objects) / first.Seconds()
	b.results.Rates = append(b.results.Rates, results.Rate{Name: run.short, Releases: n, PerSec: rate})
	return nil
}
