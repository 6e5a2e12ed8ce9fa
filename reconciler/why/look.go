package why

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

// sight is what a tree makes of what is asked for.
type sight struct {
	release *registry.Release // nil when there is none
	key     string            // its inputKey
	fault   error             // why nobody can render it
	object  string            // its kind and name; "" when the release has none such
	there   bool              // the field is
	value   any
}

// same says that two trees make the same of it. Of one that can't be rendered nobody knows.
func (s sight) same(o sight) bool {
	return s.fault == nil && o.fault == nil && s.there == o.there && reflect.DeepEqual(s.value, o.value)
}

// look renders the release of a tree. The error is for a tree that can't be read.
func (a *asker) look(fsys fs.FS) (sight, error) {
	models, err := registry.LoadRelease(fsys, a.q.Release)
	if errors.Is(err, registry.ErrNoRegistry) {
		return sight{}, nil // a commit from before it
	}
	if err != nil {
		return sight{}, err
	}
	release := models.Release(a.q.Release)
	if release == nil {
		if faults, broken := models.Broken[a.q.Release]; broken {
			return sight{fault: errors.New(faults[0].String())}, nil
		}
		return sight{}, nil
	}
	key, err := release.InputKey(fsys)
	if err != nil {
		return sight{release: release, fault: err}, nil
	}
	s := a.rendered(fsys, release)
	s.key = key
	return s, nil
}

// rendered is what becomes of the object and the field.
func (a *asker) rendered(fsys fs.FS, release *registry.Release) sight {
	s := sight{release: release}
	out, err := a.renderer.Release(fsys, release, contentImage(release))
	if err != nil {
		s.fault = err
		return s
	}
	o := a.q.Object.find(out)
	if o == nil {
		return s
	}
	s.object = title(o)
	if s.value, s.there = a.q.Field.in(o.Object); out.Rollout != "" {
		s.value = unnamed(s.value, out.Rollout)
	}
	return s
}

// contentImage stands for the release's model image: the same reference for the same files.
func contentImage(r *registry.Release) string {
	h := sha256.New()
	for _, f := range r.ModelVersion.Spec.Files {
		fmt.Fprintf(h, "%q %s %d\n", f.Path, f.SHA256, f.Size)
	}
	return r.Repository() + "@sha256:" + hex.EncodeToString(h.Sum(nil))
}

// unnamed takes the name of a rollout out of a mapping or list: it is another with each change of anything. A single
// value keeps it: who asks for that wants to know.
func unnamed(v any, rollout string) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, below := range v {
			out[key] = unnamed(below, rollout)
			if text, ok := below.(string); ok {
				out[key] = strings.ReplaceAll(text, rollout, "ROLLOUT")
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, below := range v {
			out[i] = unnamed(below, rollout)
			if text, ok := below.(string); ok {
				out[i] = strings.ReplaceAll(text, rollout, "ROLLOUT")
			}
		}
		return out
	}
	return v
}

// shown is the value for people: the model image's digest here is none.
func (a *asker) shown(s sight) any {
	return named(s.value, contentImage(s.release), s.release.Repository()+":"+s.release.ModelVersion.Name)
}

func named(v any, digest, name string) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, digest, name)
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, below := range v {
			out[key] = named(below, digest, name)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, below := range v {
			out[i] = named(below, digest, name)
		}
		return out
	}
	return v
}

// Objects lists the objects of a release as titles, for who asked for one it does not have; nil for a release that the
// tree does not have or that can't be rendered.
func Objects(fsys fs.FS, key registry.Key) []string {
	models, err := registry.LoadRelease(fsys, key)
	if err != nil || models.Release(key) == nil {
		return nil
	}
	out, err := render.Release(fsys, models.Release(key), contentImage(models.Release(key)))
	if err != nil {
		return nil
	}
	var titles []string
	for _, o := range out.Objects {
		titles = append(titles, title(o))
	}
	return titles
}

// Has says whether a release has an object, and what fault keeps one from being rendered. The error is for a tree that
// can't be read.
func Has(fsys fs.FS, key registry.Key, o Object) (has bool, fault, err error) {
	a := &asker{q: Question{Release: key, Object: o}, renderer: new(render.Renderer)}
	s, err := a.look(fsys)
	return s.object != "", s.fault, err
}
