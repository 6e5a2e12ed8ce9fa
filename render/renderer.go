package render

import (
	"crypto/sha256"
	"io/fs"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/registry"
)

// Bounds of what a Renderer keeps, per generation of its caches (it has two of each): some 30 MiB in all at
// the very most, and 2 MiB for a registry with a few runtimes.
const (
	maxKept      = 64 << 10 // bytes of one layer or output; larger ones are made each time
	maxLayers    = 128
	maxBases     = 64
	maxTemplates = 128
	maxSeen      = 4096
)

// Renderer renders many releases and keeps, by content, what they share: the checked layers, the builds of
// bases, and templates of whole outputs. It gives the same as Release, byte for byte. The zero value is ready;
// it may be used concurrently.
type Renderer struct {
	checked   cache[string, *content]
	bases     cache[[sha256.Size]byte, []*unstructured.Unstructured]
	seen      cache[[sha256.Size]byte, bool]
	templates cache[[sha256.Size]byte, *template]
}

// Release is the package's Release.
func (r *Renderer) Release(fsys fs.FS, rel *registry.Release, modelImage string) (*Output, error) {
	o, err := r.overlay(fsys, rel, modelImage)
	if err != nil {
		return nil, err
	}
	if err := r.name(o); err != nil {
		return nil, err
	}
	out, err := r.render(o)
	if err == nil {
		out.Rollout, out.InClear = o.rollout, o.layers.survey.inClear
	}
	return out, err
}

// name gives a progressive rollout its name, which is a hash of the objects it is to name.
func (r *Renderer) name(o *overlay) error {
	if !o.release.Serving.Rollout.Progressive() {
		return nil
	}
	o.rollout = unnamed
	objects, err := r.objects(o)
	if err == nil {
		o.rollout, err = rolloutOf(objects, o.release)
	}
	return err
}

// objects are those of render's output; what prints them is half the work.
func (r *Renderer) objects(o *overlay) ([]*unstructured.Unstructured, error) {
	f, err := o.form()
	if err != nil {
		return nil, err
	}
	if f != nil {
		t, _ := r.templates.get(f.key)
		if made := t.made(f, o); made != nil {
			return made, nil
		}
	}
	out, err := r.render(o)
	if err != nil {
		return nil, err
	}
	return out.Objects, nil
}

func (r *Renderer) render(o *overlay) (*Output, error) {
	f, err := o.form()
	if err != nil {
		return nil, err
	}
	if f == nil {
		return o.build()
	}
	t, _ := r.templates.get(f.key)
	if out := t.fill(f, o); out != nil {
		return out, nil
	}
	out, err := o.build()
	if err == nil {
		r.learn(f, o, out)
	}
	return out, err
}
