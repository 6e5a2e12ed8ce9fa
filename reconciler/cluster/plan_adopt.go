package cluster

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	smdvalue "sigs.k8s.io/structured-merge-diff/v6/value"
)

// planAdopted is what adoptOne would make of an object that others manage, by a dry run. planned is the answer to a dry
// run of the apply: in it the tools' fields are still theirs, and stay; with an adoption those that davit does not
// render go.
func planAdopted(ctx context.Context, client dynamic.ResourceInterface, planned *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	theirs, kept := &fieldpath.Set{}, &fieldpath.Set{}
	for _, e := range planned.GetManagedFields() {
		if e.Subresource != "" || e.FieldsV1 == nil {
			continue
		}
		fields := &fieldpath.Set{}
		if err := fields.FromJSON(bytes.NewReader(e.FieldsV1.GetRawBytes())); err != nil {
			return nil, fmt.Errorf("reading the fields of %s: %w", e.Manager, err)
		}
		if slices.Contains(tools, e.Manager) {
			theirs = theirs.Union(fields)
		} else {
			kept = kept.Union(fields)
		}
	}
	adopted := &unstructured.Unstructured{Object: strip(planned.Object, theirs, kept).(map[string]any)}
	unmark(adopted)
	adopted.SetManagedFields(nil)
	return client.Update(ctx, adopted, metav1.UpdateOptions{FieldManager: Manager, DryRun: []string{metav1.DryRunAll}})
}

// strip takes out of node what theirs has and kept has not, as the API server does with what a manager applies no more.
func strip(node any, theirs, kept *fieldpath.Set) any {
	for e := range theirs.Members.All() {
		if _, below := kept.Children.Get(e); !below && !kept.Members.Has(e) {
			node = at(node, e, func(any) any { return nil })
		}
	}
	for e := range theirs.Children.All() {
		inner, _ := theirs.Children.Get(e)
		others, ok := kept.Children.Get(e)
		if !ok {
			others = &fieldpath.Set{}
		}
		node = at(node, e, func(child any) any { return strip(child, inner, others) })
	}
	return node
}

// at puts what change makes of an element of node, a map or a list, in its place; nil, or an empty map, takes it out.
func at(node any, e fieldpath.PathElement, change func(any) any) any {
	switch node := node.(type) {
	case map[string]any:
		if e.FieldName == nil || node[*e.FieldName] == nil {
			return node
		}
		if child := change(node[*e.FieldName]); child == nil || reflect.DeepEqual(child, map[string]any{}) {
			delete(node, *e.FieldName)
		} else {
			node[*e.FieldName] = child
		}
	case []any:
		var left []any
		for _, item := range node {
			if is(item, e) {
				item = change(item)
			}
			if item != nil {
				left = append(left, item)
			}
		}
		if left == nil {
			return nil
		}
		return left
	}
	return node
}

// is says whether e names that item of a list: by its key fields, or as the value itself.
func is(item any, e fieldpath.PathElement) bool {
	switch {
	case e.Value != nil:
		return smdvalue.Equals(smdvalue.NewValueInterface(item), *e.Value)
	case e.Key == nil:
		return false
	}
	fields, ok := item.(map[string]any)
	for _, key := range *e.Key {
		ok = ok && smdvalue.Equals(smdvalue.NewValueInterface(fields[key.Name]), key.Value) // of numbers, whatever their type
	}
	return ok
}
