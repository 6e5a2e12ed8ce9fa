package cluster_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// BenchmarkWatch measures what a Watcher costs and saves: the first lists, the heap they take (peak and after),
// a look for drift and an apply of what is known unchanged. DAVIT_BENCH_RELEASES is how many releases of four
// objects there are, 100 by default:
//
//	DAVIT_BENCH_RELEASES=10000 go test ./reconciler/cluster -run '^$' -bench Watch -benchtime 1x
func BenchmarkWatch(b *testing.B) {
	n := 100
	if text := os.Getenv("DAVIT_BENCH_RELEASES"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	const text = config + "\n---\n" + "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: iris, labels: {davit.dev/release: iris}}\n" +
		"spec: {replicas: 0, selector: {matchLabels: {davit.dev/release: iris}}, template: {metadata: {labels: {davit.dev/release: iris}}, spec: {containers: [{name: server, image: a}]}}}" +
		"\n---\n" + service + "\n---\n" + "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: iris, labels: {davit.dev/release: iris}}"
	c, ns := open(b)
	releases := make([]*v1alpha1.ModelRelease, n)
	start := time.Now()
	var work sync.WaitGroup
	next := make(chan int)
	for range 16 {
		work.Go(func() {
			for i := range next {
				releases[i] = release(b, c, ns, fmt.Sprintf("iris-%d", i), text)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	work.Wait()
	b.ReportMetric(float64(4*n)/time.Since(start).Seconds(), "created/s")
	rendered := make([][]*unstructured.Unstructured, n)
	for b.Loop() {
		before := heap()
		peak, stop := watchHeap()
		start = time.Now()
		w, err := c.Watch(b.Context(), func(string, string) {})
		if err != nil {
			b.Fatal(err)
		}
		w.Track(cluster.Kinds(objects(b, text))...)
		if err := w.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "list-ms")
		stop()
		b.ReportMetric(float64(*peak-before)/(1<<20), "peak-MiB")
		b.ReportMetric(float64(heap()-before)/(1<<20), "heap-MiB")
		start = time.Now()
		for _, mr := range releases {
			if drifted := w.Drifted(mr); len(drifted) > 0 {
				b.Fatalf("%s drifted: %v", mr.Name, drifted)
			}
		}
		b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(n), "drifted-ns/release")
		for i := range rendered {
			rendered[i] = objects(b, named(text, fmt.Sprintf("iris-%d", i)))
		}
		start = time.Now()
		for i, mr := range releases {
			if set, err := c.Apply(b.Context(), mr, rendered[i], cluster.ApplyOptions{}); err != nil || set.Changed() {
				b.Fatal(set, err)
			}
		}
		b.ReportMetric(float64(time.Since(start).Microseconds())/float64(n), "unchanged-us/release")
		w.Stop()
	}
}

func release(b *testing.B, c *cluster.Cluster, ns, name, text string) *v1alpha1.ModelRelease {
	mr := &v1alpha1.ModelRelease{}
	mr.Namespace, mr.Name, mr.Spec.Environment, mr.Spec.Release = ns, "production."+name, "production", name
	set, err := c.Apply(b.Context(), mr, objects(b, named(text, name)), cluster.ApplyOptions{})
	if err != nil {
		b.Error(err)
	}
	mr.Status.Inventory = set.Inventory
	return mr
}

func named(text, name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "name: iris", "name: "+name), "release: iris", "release: "+name)
}

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// watchHeap samples the heap until stop is called.
func watchHeap() (peak *uint64, stop func()) {
	peak = new(uint64)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		for {
			metrics.Read(sample)
			*peak = max(*peak, sample[0].Value.Uint64())
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return peak, func() { close(done); <-ended }
}
