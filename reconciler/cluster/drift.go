package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// ObjectDrift is how one object differs from what davit would make of it.
type ObjectDrift struct {
	Ref v1alpha1.ObjectRef
	// Missing says that it is not there.
	Missing bool
	// Fields are what differs, sorted by path; empty when Missing.
	Fields []FieldDrift
}

// FieldDrift is one field that would be set back.
type FieldDrift struct {
	// Path is as in the API server's conflicts: .spec.template.spec.containers[name="server"].image
	Path string
	// Live and Wanted are JSON; empty where the field is absent. Secret values are Masked.
	Live, Wanted string
	// Managers own the field now, sorted; none where a person removed it.
	Managers []string
}

// Masked stands for a value that may be secret.
const Masked = "(hidden)"

// String is one line for a person.
func (d ObjectDrift) String() string {
	if d.Missing {
		return d.Ref.String() + " is missing"
	}
	var parts []string
	for _, f := range d.Fields {
		parts = append(parts, f.String())
	}
	return d.Ref.String() + ": " + strings.Join(parts, ", ")
}

// String is "path is live, not wanted (by manager)".
func (f FieldDrift) String() string {
	by := ""
	if len(f.Managers) > 0 {
		by = " (by " + strings.Join(f.Managers, ", ") + ")"
	}
	switch {
	case f.Live == "":
		return fmt.Sprintf("%s is gone, was %s%s", f.Path, f.Wanted, by)
	case f.Wanted == "":
		return fmt.Sprintf("%s is %s, and should not be%s", f.Path, f.Live, by)
	}
	return fmt.Sprintf("%s is %s, not %s%s", f.Path, f.Live, f.Wanted, by)
}

// Drift compares objects with the cluster by a read and a dry run each, so that defaults and webhooks are not
// taken for drift, and lists those that differ in what davit applies. Nothing is written. An object annotated
// davit.dev/drift: ignore, live or as given, is left out unless it is missing. One that Drifted lists and this
// does not has the right values under another's name: an Apply takes the fields back and moves no pod.
func (c *Cluster) Drift(ctx context.Context, mr *v1alpha1.ModelRelease, objects []*unstructured.Unstructured) ([]ObjectDrift, error) {
	members, err := c.members(mr, objects)
	if err != nil {
		return nil, err
	}
	found := make([]*ObjectDrift, len(members))
	var work sync.WaitGroup
	for i, m := range members {
		m.sealed = c.unseal(ctx, m)
		work.Go(func() {
			m.err = c.write(ctx, func() (err error) {
				found[i], err = c.driftOf(ctx, m)
				return err
			})
		})
	}
	work.Wait()
	var drifts []ObjectDrift
	for _, d := range found {
		if d != nil {
			drifts = append(drifts, *d)
		}
	}
	return drifts, failure(members)
}

// driftOf is nil when there is none. It looks again when somebody wrote the object between read and dry run.
func (c *Cluster) driftOf(ctx context.Context, m *member) (*ObjectDrift, error) {
	client := c.as.dynamic.Resource(m.mapping.Resource).Namespace(m.object.GetNamespace())
	for try := range driftTries {
		if err := pause(ctx, try); err != nil {
			return nil, err
		}
		live, err := client.Get(ctx, m.ref.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return &ObjectDrift{Ref: m.ref, Missing: true}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", m.ref, err)
		}
		if live.GetAnnotations()[driftAnnotation] == "ignore" || m.object.GetAnnotations()[driftAnnotation] == "ignore" {
			return nil, nil
		}
		if m.sealed != nil {
			return m.driftSealed(live)
		}
		wanted, err := c.wanted(ctx, m, live)
		if err != nil {
			return nil, err
		}
		if wanted == nil || wanted.GetResourceVersion() != live.GetResourceVersion() {
			continue
		}
		d := differ{owners: owners(live), secret: m.ref.GroupKind() == kindSecret}
		d.maps(nil, settled(live), settled(wanted))
		if len(d.found) == 0 {
			return nil, nil
		}
		m.ref.UID = live.GetUID()
		return &ObjectDrift{Ref: m.ref, Fields: d.found}, nil
	}
	return nil, fmt.Errorf("comparing %s: it is written all the time", m.ref)
}

// driftTries bounds how often an object is looked at again; its controllers write a workload's status several times a
// second while it rolls out.
const driftTries = 8

// pause is longer with each try, and nothing before the first.
func pause(ctx context.Context, try int) error {
	if try == 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(10 * time.Millisecond << try):
		return nil
	}
}

// wanted is what an apply would make of live; nil when that went away. Where the API server refuses, because
// what others set does not go with what davit applies (value beside valueFrom), it is put together here.
func (c *Cluster) wanted(ctx context.Context, m *member, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	body, err := json.Marshal(m.object.Object)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", m.ref, err)
	}
	opts := applyOptions()
	opts.DryRun = []string{metav1.DryRunAll}
	client := c.as.dynamic.Resource(m.mapping.Resource).Namespace(m.object.GetNamespace())
	wanted, err := client.Patch(ctx, m.ref.Name, types.ApplyPatchType, body, opts)
	switch {
	case err == nil:
		return wanted, nil
	case refused(err) && m.recorded.Hash == m.ref.Hash:
		return &unstructured.Unstructured{Object: overlay(live.DeepCopy().Object, m.object.DeepCopy().Object).(map[string]any)}, nil
	}
	return nil, refusal(m.ref, err)
}

// overlay lays top over base: maps merge, items of lists merge by name, everything else replaces.
func overlay(base, top any) any {
	if b, ok := base.(map[string]any); ok {
		if t, ok := top.(map[string]any); ok {
			for key, value := range t {
				b[key] = overlay(b[key], value)
			}
			return b
		}
	}
	bl, bok := base.([]any)
	tl, tok := top.([]any)
	if !bok || !tok {
		return top
	}
	bm, bok := items(bl)
	tm, tok := items(tl)
	if !bok || !tok {
		return top
	}
	byName, bok := named(bm)
	if _, tok = named(tm); !bok || !tok {
		return top
	}
	for _, item := range tm {
		if old := byName[item["name"].(string)]; old != nil {
			overlay(old, item)
		} else {
			bl = append(bl, item)
		}
	}
	return bl
}
