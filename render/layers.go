package render

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/registry"
)

// layers are the repository's parts of a release, checked.
type layers struct {
	base, accelerator *content   // accelerator is nil without one
	components        []*content // the environment's, the release's, the release's in the environment
	survey            survey
}

// layers reads and checks what of the repository goes into a release. Layers that releases share are checked
// once for a content, where fsys knows blob ids.
func (r *Renderer) layers(fsys fs.FS, rel *registry.Release) (*layers, error) {
	out := &layers{}
	if err := r.add(out, &out.base, &layer{fsys: fsys, dir: rel.BaseDir()}); err != nil {
		return nil, err
	}
	if rel.Accelerator != nil {
		if err := r.add(out, &out.accelerator, &layer{fsys: fsys, dir: rel.Accelerator.Dir}); err != nil {
			return nil, err
		}
	}
	if dir := rel.Environment.Component; dir != "" {
		var c *content
		if err := r.add(out, &c, &layer{fsys: fsys, dir: dir, refused: nested(rel, dir)}); err != nil {
			return nil, err
		}
		out.components = append(out.components, c)
	}
	for _, dir := range rel.Components {
		l := &layer{fsys: fsys, dir: dir, refused: nested(rel, dir), opens: rel.Owns}
		c, err := l.copy(out.survey.copied)
		if err != nil {
			return nil, err
		}
		out.take(c)
		out.components = append(out.components, c)
	}
	return out, nil
}

// nested are the folders inside dir that are layers of their own.
func nested(r *registry.Release, dir string) (inside []string) {
	for _, c := range r.Components {
		if strings.HasPrefix(c, dir+"/") {
			inside = append(inside, c)
		}
	}
	return inside
}

// add is for a layer that releases share.
func (r *Renderer) add(all *layers, at **content, l *layer) error {
	key, known := l.key()
	if known {
		c, ok := r.checked.get(key)
		if ok && all.survey.copied+c.copied <= maxCopies {
			all.take(c)
			*at = c
			return nil
		}
	}
	c, err := l.copy(all.survey.copied)
	if err != nil {
		return err
	}
	if known && c.size() <= maxKept {
		r.checked.put(key, c, maxLayers)
	}
	all.take(c)
	*at = c
	return nil
}

func (ls *layers) take(c *content) {
	ls.survey.foreign = append(slices.Clip(ls.survey.foreign), c.foreign...)
	ls.survey.merges = append(slices.Clip(ls.survey.merges), c.merges...)
	if ls.base != nil { // a base may do as it likes with its own
		ls.survey.overwritten = append(slices.Clip(ls.survey.overwritten), c.overwritten...)
	}
	ls.survey.inClear = append(slices.Clip(ls.survey.inClear), c.inClear...)
	ls.survey.copied += c.copied
}

// maxGrowth is what copies of patches may make of a release's layers: each may double all there is.
const maxGrowth = 16 << 20

// bound refuses copies that could make more, before Kustomize makes it: nothing ends a build.
func (ls *layers) bound(file string) error {
	size := 0
	for _, c := range ls.all() {
		size += c.size()
	}
	if ls.survey.copied > 0 && size > maxGrowth>>ls.survey.copied {
		return fmt.Errorf("%s:1: %d copies by the patches and replacements of its layers, of %d bytes, could make more than %d MiB; write the values out",
			file, ls.survey.copied, size, maxGrowth>>20)
	}
	return nil
}

func (ls *layers) all() []*content {
	all := []*content{ls.base}
	if ls.accelerator != nil {
		all = append(all, ls.accelerator)
	}
	return append(all, ls.components...)
}

// key identifies a layer by its place and all it could open. It needs a file system that knows blob ids.
func (l *layer) key() (string, bool) {
	ids, ok := l.fsys.(registry.BlobHasher)
	if !ok {
		return "", false
	}
	if err := l.list(); err != nil {
		l.known = nil // copy says why
		return "", false
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q\n", l.dir)
	for _, name := range slices.Sorted(maps.Keys(l.known)) {
		id := ""
		if mode := l.known[name]; mode.IsRegular() {
			var err error
			if id, err = ids.BlobHash(name); err != nil {
				return "", false
			}
		}
		fmt.Fprintf(h, "%q %v %s\n", name, l.known[name], id)
	}
	return hex.EncodeToString(h.Sum(nil)), true
}

func (c *content) size() (n int) {
	for _, data := range c.files {
		n += len(data)
	}
	return n
}

// write puts the layer's files into a tree.
func (c *content) write(tree map[string][]byte, dir string) {
	for name, data := range c.files {
		tree[path.Join(dir, name)] = data
	}
}

// sum hashes the layers that lie below the Serving's fields, or all.
func (ls *layers) sum(all bool) (key [sha256.Size]byte) {
	h := sha256.New()
	h.Write(ls.base.hash[:])
	mark(h, ls.accelerator)
	if all {
		for _, c := range ls.components {
			mark(h, c)
		}
	}
	h.Sum(key[:0])
	return key
}

func mark(h hash.Hash, c *content) {
	if c == nil {
		h.Write([]byte{0})
		return
	}
	h.Write([]byte{1})
	h.Write(c.hash[:])
}

// below builds what lies below the Serving's fields, since a list of arguments can't be merged without
// knowing the one below. The objects are shared: they are only read.
func (r *Renderer) below(ls *layers, rel *registry.Release) ([]*unstructured.Unstructured, error) {
	key := ls.sum(false)
	if objects, ok := r.bases.get(key); ok {
		return objects, nil
	}
	tree := map[string][]byte{}
	if err := ls.writeBelow(tree, ""); err != nil {
		return nil, err
	}
	built, err := build(tree, path.Base(ls.belowServing()))
	if err != nil {
		return nil, fmt.Errorf("building %s: %w", rel.Runtime, err)
	}
	out, err := printed(built)
	if err != nil {
		return nil, err
	}
	if len(out.YAML) <= maxKept {
		r.bases.put(key, out.Objects, maxBases)
	}
	return out.Objects, nil
}
