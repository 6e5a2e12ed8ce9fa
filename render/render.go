package render

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/resmap"

	"github.com/davit-dev/davit/registry"
)

// Version is the renderer's version: part of every inputKey, raised when the same files give other bytes.
const Version = 1

// Output is a rendered release.
type Output struct {
	// Objects are in the order they are printed.
	Objects []*unstructured.Unstructured
	// YAML is what `kubectl kustomize` prints for the release's Overlay.
	YAML []byte
	// Hash is the objectsHash, the SHA-256 of YAML in hex.
	Hash string
}

// Release renders a release as it is in fsys, the tree it was loaded from. modelImage is "repository@sha256:…".
// Equal arguments give equal bytes. Every error is the revision's own fault. It may be called concurrently.
func Release(fsys fs.FS, r *registry.Release, modelImage string) (*Output, error) {
	o, err := overlay(fsys, r, modelImage)
	if err != nil {
		return nil, err
	}
	yaml, err := o.built.AsYaml()
	if err != nil {
		return nil, fmt.Errorf("printing %s: %w", r.Key(), err)
	}
	sum := sha256.Sum256(yaml)
	return &Output{Objects: o.objects, YAML: yaml, Hash: hex.EncodeToString(sum[:])}, nil
}

// Overlay is the very Kustomize tree that Release builds, by path: `kubectl kustomize <env>/<release>` in a
// folder that holds it prints the same bytes. Everything of the repository's in it has been checked.
func Overlay(fsys fs.FS, r *registry.Release, modelImage string) (map[string][]byte, error) {
	o, err := overlay(fsys, r, modelImage)
	if err != nil {
		return nil, err
	}
	return o.files, nil
}

func objectsOf(built resmap.ResMap) (out []*unstructured.Unstructured, err error) {
	for _, res := range built.Resources() {
		data, err := res.MarshalJSON() // its own map holds numbers that no Unstructured may
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", res.CurId(), err)
		}
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON(data); err != nil {
			return nil, fmt.Errorf("reading %s: %w", res.CurId(), err)
		}
		out = append(out, o)
	}
	return out, nil
}
