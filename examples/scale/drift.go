package main

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/davit-dev/davit/examples/scale/generate"
	"github.com/davit-dev/davit/examples/scale/results"
)

var deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}

// undone is how long an edit may stand.
const undone = 10 * time.Second

// drift edits a field that davit applied, as kubectl edit would, and waits until it is what it was.
func (m *measure) drift(ctx context.Context) error {
	var all []time.Duration
	for _, r := range m.repo.pick(m.bench.pickCount(10, 3)) {
		took, ok, err := m.edit(ctx, r)
		if err != nil {
			return err
		}
		if !ok {
			m.add("drift: an edited field is undone", "< 1 s", results.Held(false), nil, "not undone within %s", undone)
			return nil
		}
		all = append(all, took)
	}
	p50, last := results.Percentile(all, 50), results.Percentile(all, 100)
	m.add("drift: an edited field is undone", "< 1 s", results.Held(last < time.Second),
		map[string]float64{"p50ms": results.Milliseconds(p50), "lastms": results.Milliseconds(last)},
		"p50 %s, slowest %s of %d", milliseconds(p50), milliseconds(last), len(all))
	return nil
}

// edit takes the time from the answer to the edit until the watch shows the old value.
func (m *measure) edit(ctx context.Context, r generate.Release) (time.Duration, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, undone)
	defer cancel()
	client := m.dynamic.Resource(deployments).Namespace(generate.Namespace)
	live, err := client.Get(ctx, r.Name, metav1.GetOptions{})
	if err != nil {
		return 0, false, err
	}
	was := grace(live)
	edited, err := set(ctx, client, r.Name, was+60)
	if err != nil {
		return 0, false, err
	}
	at := time.Now()
	watch, err := client.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + r.Name, ResourceVersion: edited.GetResourceVersion()})
	if err != nil {
		return 0, false, err
	}
	defer watch.Stop()
	for event := range watch.ResultChan() {
		if o, ok := event.Object.(*unstructured.Unstructured); ok && grace(o) == was {
			return time.Since(at), true, nil
		}
	}
	_, err = set(context.WithoutCancel(ctx), client, r.Name, was) // nobody did
	return 0, false, err
}

func set(ctx context.Context, client dynamic.ResourceInterface, name string, value int64) (*unstructured.Unstructured, error) {
	patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":%d}}}}`, value)
	return client.Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "kubectl-edit"})
}

func grace(o *unstructured.Unstructured) int64 {
	value, _, _ := unstructured.NestedInt64(o.Object, "spec", "template", "spec", "terminationGracePeriodSeconds")
	return value
}
