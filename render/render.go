package render

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"runtime/debug"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/openapi"

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
	tree, err := Overlay(fsys, r, modelImage)
	if err != nil {
		return nil, err
	}
	memory := filesys.MakeFsInMemory()
	for name, data := range tree {
		if err := memory.WriteFile("/"+name, data); err != nil {
			return nil, fmt.Errorf("writing %s: %w", name, err)
		}
	}
	built, err := build(memory, "/"+overlayDir(r))
	if err != nil {
		return nil, fmt.Errorf("building %s: %w", r.Key(), err)
	}
	yaml, err := built.AsYaml()
	if err != nil {
		return nil, fmt.Errorf("printing %s: %w", r.Key(), err)
	}
	sum := sha256.Sum256(yaml)
	out := &Output{YAML: yaml, Hash: hex.EncodeToString(sum[:])}
	for _, res := range built.Resources() {
		data, err := res.MarshalJSON() // its own map holds numbers that no Unstructured may
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", res.CurId(), err)
		}
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON(data); err != nil {
			return nil, fmt.Errorf("reading %s: %w", res.CurId(), err)
		}
		out.Objects = append(out.Objects, o)
	}
	return out, inside(out.Objects, r)
}

// build runs Kustomize. A panic in it is the input's fault, and may leave its global schema half changed.
func build(memory filesys.FileSystem, dir string) (built resmap.ResMap, err error) {
	defer func() {
		if p := recover(); p != nil {
			openapi.ResetOpenAPI()
			err = fmt.Errorf("kustomize panicked: %v\n%s", p, debug.Stack())
		}
	}()
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified // the kustomization says it
	options.LoadRestrictions = types.LoadRestrictionsRootOnly
	options.PluginConfig = types.DisabledPluginConfig()
	return krusty.MakeKustomizer(options).Run(memory, dir)
}

// inside refuses objects outside the release's namespace, and cluster-scoped ones.
func inside(objects []*unstructured.Unstructured, r *registry.Release) error {
	for _, o := range objects {
		name := o.GetKind() + "/" + o.GetName()
		if namespaced, known := isNamespaced(o.GetAPIVersion(), o.GetKind()); known && !namespaced {
			return fmt.Errorf("%s: %s is not namespaced; a release holds objects of its namespace only", r.Path, name)
		}
		if want := r.Environment.Spec.Namespace; o.GetNamespace() != want {
			return fmt.Errorf("%s: %s is in namespace %q; the environment's is %q", r.Path, name, o.GetNamespace(), want)
		}
	}
	return nil
}
