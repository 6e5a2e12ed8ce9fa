package render

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/registry"
)

// Version is the renderer's version: part of every inputKey, raised when the same files give other bytes.
const Version = 3

// Output is a rendered release.
type Output struct {
	// Objects are in the order they are printed.
	Objects []*unstructured.Unstructured
	// YAML is what `kubectl kustomize` prints for the release's Overlay.
	YAML []byte
	// Hash is the objectsHash, the SHA-256 of YAML in hex.
	Hash string
	// Rollout is the name of what a revision runs where each revision has a workload of its own: a hash, which the
	// names of all its objects end in but those that turn the traffic (see IsTraffic). Empty otherwise.
	Rollout string
	// InClear tells of secret values that are in the repository in clear, each as "path:line: what is wrong and what to
	// do". They are no error here: what such a file led to once can still be gone back to.
	InClear []string
}

// Release renders a release as it is in fsys, the tree it was loaded from. modelImage is "repository@sha256:…".
// Equal arguments give equal bytes. Every error is the revision's own fault. It may be called concurrently.
// Who renders many releases uses a Renderer, which gives the same.
func Release(fsys fs.FS, r *registry.Release, modelImage string) (*Output, error) {
	return new(Renderer).Release(fsys, r, modelImage)
}

// Overlay is the very Kustomize tree that Release builds, by path: `kubectl kustomize <env>/<release>` in a
// folder that holds it prints the same bytes. Everything of the repository's in it has been checked.
func Overlay(fsys fs.FS, r *registry.Release, modelImage string) (map[string][]byte, error) {
	renderer := new(Renderer)
	o, err := renderer.overlay(fsys, r, modelImage)
	if err != nil {
		return nil, err
	}
	if err := renderer.name(o); err != nil {
		return nil, err
	}
	if _, err := o.build(); err != nil {
		return nil, err
	}
	return o.files, nil
}

// printed prints objects as Kustomize does, by way of JSON, and reads them from that: a resource's own map
// holds numbers that no Unstructured may.
func printed(built resmap.ResMap) (*Output, error) {
	var objects []*unstructured.Unstructured
	var text bytes.Buffer
	for i, res := range built.Resources() {
		data, err := res.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", res.CurId(), err)
		}
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON(data); err != nil {
			return nil, fmt.Errorf("reading %s: %w", res.CurId(), err)
		}
		page, err := yaml.JSONToYAML(data)
		if err != nil {
			return nil, fmt.Errorf("printing %s: %w", res.CurId(), err)
		}
		if i > 0 {
			text.WriteString(separator)
		}
		text.Write(page)
		objects = append(objects, o)
	}
	return output(objects, text.Bytes()), nil
}

const separator = "---\n"

func output(objects []*unstructured.Unstructured, text []byte) *Output {
	sum := sha256.Sum256(text)
	return &Output{Objects: objects, YAML: text, Hash: hex.EncodeToString(sum[:])}
}
