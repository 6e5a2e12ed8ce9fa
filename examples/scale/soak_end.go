package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/examples/scale/controller"
	"github.com/davit-dev/davit/examples/scale/generate"
	"github.com/davit-dev/davit/examples/scale/results"
)

// settled mends what is broken, and waits until the cluster is what the branch says: each release healthy at its version, and no
// object more than there are.
func (s *soak) settled(ctx context.Context) error {
	if s.bad != nil {
		c, err := s.repo.commit(ctx, s.mend()...)
		if err != nil {
			return err
		}
		if err := s.hooks.pushed(ctx, c.hash); err != nil {
			return err
		}
	}
	var why string
	for deadline := time.Now().Add(2 * time.Minute); ; {
		var err error
		if why, err = s.differs(ctx); err != nil || why == "" {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
		if time.Now().After(deadline) {
			return errors.New("the cluster is not what the branch says: " + why)
		}
	}
}

// differs says how the cluster differs from the branch; "" where it does not.
func (s *soak) differs(ctx context.Context) (string, error) {
	releases, err := s.dynamic.Resource(modelReleases).Namespace(generate.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	if len(releases.Items) != s.n {
		return fmt.Sprintf("%d ModelReleases, not %d", len(releases.Items), s.n), nil
	}
	for _, r := range releases.Items {
		name, _, _ := unstructured.NestedString(r.Object, "spec", "release")
		phase, _, _ := unstructured.NestedString(r.Object, "status", "phase")
		version, _, _ := unstructured.NestedString(r.Object, "status", "applied", "version")
		if phase != "Healthy" || version != s.repo.version[name] {
			return fmt.Sprintf("%s is %s at %s, not at %s", name, phase, version, s.repo.version[name]), nil
		}
	}
	live, err := s.dynamic.Resource(deployments).Namespace(generate.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	if len(live.Items) != s.n {
		return fmt.Sprintf("%d Deployments, not %d", len(live.Items), s.n), nil
	}
	return "", nil
}

// What counts as growth: more than the noise of a garbage-collected heap, and of a machine that others use.
const (
	growthShare      = 0.05
	growthBytes      = 8 << 20
	growthGoroutines = 20
	slower           = 3 // times
)

// verdict compares the second quarter of the looks with the last; the first is warm-up.
func (s *soak) verdict() error {
	quarter := len(s.seen) / 4
	if quarter == 0 {
		return fmt.Errorf("too short for a verdict: it takes four looks, one every %s", lookEvery)
	}
	early, late := s.seen[quarter:2*quarter], s.seen[len(s.seen)-quarter:]
	var errs []error
	flat := func(what string, least, before, after float64, text func(float64) string) {
		verdict := "flat"
		if after-before > max(least, growthShare*before) {
			verdict = "GROWS"
			errs = append(errs, errors.New(what+" grows"))
		}
		fmt.Printf("%s: %s after warm-up, %s at the end: %s\n", what, text(before), text(after), verdict)
	}
	size := func(bytes float64) string { return mebibytes(uint64(bytes)) }
	count := func(n float64) string { return fmt.Sprintf("%.0f", n) }
	flat("RSS", growthBytes, median(early, rss), median(late, rss), size)
	flat("live heap", growthBytes, median(early, heap), median(late, heap), size)
	flat("goroutines", growthGoroutines, median(early, goroutines), median(late, goroutines), count)
	before, after := latencies(early), latencies(late)
	fmt.Printf("commit to applied: p50 %s, p99 %s after warm-up; p50 %s, p99 %s at the end\n", milliseconds(results.Percentile(before, 50)),
		milliseconds(results.Percentile(before, 99)), milliseconds(results.Percentile(after, 50)), milliseconds(results.Percentile(after, 99)))
	if results.Percentile(after, 50) > slower*results.Percentile(before, 50) {
		errs = append(errs, errors.New("promotions take longer and longer"))
	}
	fmt.Printf("%d webhook deliveries, answered p50 %s, p99 %s\n", s.hooks.sent, milliseconds(results.Percentile(s.hooks.took, 50)),
		milliseconds(results.Percentile(s.hooks.took, 99)))
	fmt.Printf("%d commits, %d releases that the API server refused, %d edits undone; at the end every one of %d releases is healthy at the branch's version\n",
		s.commits, s.failed, s.undone, s.n)
	return errors.Join(errs...)
}

func rss(u *controller.Usage) uint64        { return u.RSS }
func heap(u *controller.Usage) uint64       { return u.HeapLive }
func goroutines(u *controller.Usage) uint64 { return uint64(u.Goroutines) }

func median(seen []look, value func(*controller.Usage) uint64) float64 {
	all := make([]uint64, len(seen))
	for i, l := range seen {
		all[i] = value(l.usage)
	}
	slices.Sort(all)
	return float64(all[len(all)/2])
}

func latencies(seen []look) (all []time.Duration) {
	for _, l := range seen {
		all = append(all, l.latency...)
	}
	return all
}
