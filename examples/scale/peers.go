package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/davit-dev/davit/examples/scale/generate"
	"github.com/davit-dev/davit/examples/scale/results"
)

// peers measures the plain writes that davit's first sync is compared with, and kubectl, each in a fresh cluster.
func (b *bench) peers(ctx context.Context) error {
	best, workers := time.Duration(0), 0
	for i, n := range []int{16, 8} {
		took, err := b.peer(ctx, n, []func(context.Context, *world) error{b.kubectlEach, b.kubectlAll}[i])
		if err != nil {
			return err
		}
		if took > 0 && (best == 0 || took < best) {
			best, workers = took, n
		}
	}
	if best > 0 {
		b.compare(best, workers)
	}
	return nil
}

// peer makes the plain writes, when a first sync was captured, and then lets kubectl have the cluster.
func (b *bench) peer(ctx context.Context, workers int, kubectl func(context.Context, *world) error) (took time.Duration, err error) {
	releases := b.pickCount(100, 20)
	w, err := newWorld(ctx, b.options(releases))
	defer func() { err = errors.Join(err, w.close()) }()
	if err != nil {
		return 0, err
	}
	if err := w.quiet(ctx, time.Minute); err != nil {
		return 0, err
	}
	if err := w.namespace(ctx); err != nil {
		return 0, err
	}
	began := w.load()
	if err := kubectl(ctx, w); err != nil {
		return 0, err
	}
	b.disturbed("kubectl", w.others(began))
	if len(b.writes) == 0 {
		return 0, nil
	}
	// The objects kubectl made would be in the way; a namespace takes minutes to empty, a fresh cluster seconds.
	if err := w.emptyCluster(ctx); err != nil {
		return 0, err
	}
	say("plain writes of %d releases with %d workers", len(b.writes), workers)
	began = w.load()
	if took, err = writeAll(ctx, w.dynamic, b.writes, workers); err != nil {
		return 0, fmt.Errorf("plain writes: %w", err)
	}
	b.disturbed(fmt.Sprintf("plain writes, %d workers", workers), w.others(began))
	rate := b.writeRate(took)
	b.results.Rates = append(b.results.Rates, results.Rate{Name: fmt.Sprintf("plain writes, %d workers", workers), Releases: len(b.writes), PerSec: rate})
	say("%.0f writes/s", rate)
	return took, nil
}

func (b *bench) writeRate(took time.Duration) float64 {
	return float64(len(b.writes)*writesPerRelease) / took.Seconds()
}

// compare adds davit beside the best of the plain writers.
func (b *bench) compare(best time.Duration, workers int) {
	rate, limit := b.writeRate(b.synced), b.writeRate(best)
	share := 100 * rate / limit
	b.results.Rates = append(b.results.Rates, results.Rate{Name: "davit, first sync", Releases: len(b.writes), PerSec: rate})
	b.results.Add(results.Row{
		Releases: len(b.writes), What: "first sync beside plain parallel server-side apply of the same writes", Target: "≥ 60%", Held: results.Held(share >= 60),
		Measured: fmt.Sprintf("%.0f%%: %.0f of %.0f writes/s (best of 8 and 16 workers: %d)", share, rate, limit, workers),
		Values:   map[string]float64{"percent": share, "writesPerSecond": rate, "plainWritesPerSecond": limit},
	})
}

// namespace makes the environment's.
func (w *world) namespace(ctx context.Context) error {
	ns := &unstructured.Unstructured{}
	ns.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	ns.SetName(generate.Namespace)
	_, err := w.dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).Create(ctx, ns, metav1.CreateOptions{})
	return err
}
