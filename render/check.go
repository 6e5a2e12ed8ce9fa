package render

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	k8syaml "sigs.k8s.io/yaml"
)

// Bounds of what one layer may make Kustomize read. It takes no context and an overflowing stack can't be
// recovered, so that what goes in is bounded.
const (
	maxFiles = 200
	maxFile  = 1 << 20
	// maxVisits counts a folder each time it is referred to: two references each to the next of 20 folders
	// would be a million builds.
	maxVisits = 200
	maxDepth  = 20
	// maxBelow is how many files and folders a layer's folder may hold, whether they are read or not. See registry's.
	maxBelow = 5000
)

// layer is a folder of the repository on its way into an overlay. Only what its kustomization.yaml leads to is
// read and copied, and nothing that has not been checked.
type layer struct {
	fsys    fs.FS
	dir     string            // in the repository
	refused []string          // folders in dir that are layers of their own
	opens   func(string) bool // what of dir is the release's; all when nil

	content *content
	known   map[string]fs.FileMode // what is in dir, by path
	copied  map[string]bool
	visits  int
}

// content is a checked layer: never changed once it is made, so that renders may share it.
type content struct {
	files map[string][]byte // by path in the layer
	survey
	names []string // its scalars that could be names of objects
	rigid bool     // something in it may look at a value or a name; see template
	hash  [sha256.Size]byte
}

// copy checks and reads the layer. copies is how many the release's layers below make already.
func (l *layer) copy(copies int) (*content, error) {
	if l.known == nil {
		if err := l.list(); err != nil {
			return nil, err
		}
	}
	l.copied = map[string]bool{}
	l.content = &content{files: map[string][]byte{}, survey: survey{copied: copies}}
	if err := l.folder(l.dir, 1); err != nil {
		return nil, err
	}
	c := l.content
	c.copied -= copies
	slices.Sort(c.names)
	c.names = slices.Compact(c.names)
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		fmt.Fprintf(h, "%q %x\n", name, sha256.Sum256(c.files[name]))
	}
	h.Sum(c.hash[:0])
	return c, nil
}

// list finds what is in the layer's folder, without reading it.
func (l *layer) list() error {
	l.known = map[string]fs.FileMode{}
	return fs.WalkDir(l.fsys, l.dir, func(name string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrInvalid):
			return fmt.Errorf("%s:1: holds a name that no folder can have (git fsck tells which); commit the folder anew", name)
		case err != nil:
			return fmt.Errorf("reading %s: %w", name, err)
		case slices.Contains(l.refused, name):
			return fs.SkipDir
		case len(l.known) >= maxBelow:
			return fmt.Errorf("%s:1: more than %d files and folders are below it; take out what no kustomization uses", l.dir, maxBelow)
		case e.IsDir() || l.opens == nil || l.opens(name):
			l.known[name] = e.Type()
		}
		return nil
	})
}

// folder checks the kustomization of a folder, and what it leads to.
func (l *layer) folder(dir string, depth int) error {
	name := path.Join(dir, "kustomization.yaml")
	if depth > maxDepth {
		return fmt.Errorf("%s:1: folders refer to one another more than %d deep; nest them less", name, maxDepth)
	}
	if l.visits++; l.visits > maxVisits {
		return fmt.Errorf("%s:1: folders are referred to more than %d times; refer to each once", name, maxVisits)
	}
	data, err := l.read(name)
	if err != nil {
		return err
	}
	docs, err := l.content.parse(name, 1, data)
	if err != nil {
		return err
	}
	if len(docs) != 1 || docs[0].Kind != yaml.MappingNode {
		return fmt.Errorf("%s:1: a kustomization is one YAML document, a mapping; this has %d documents", name, len(docs))
	}
	k := &kustomizationFile{layer: l, name: name, dir: dir, root: docs[0]}
	if err := k.refusedField(); err != nil {
		return err
	}
	if err := k8syaml.UnmarshalStrict(data, &k.spec); err != nil {
		return fmt.Errorf("%s:1: not a kustomization: %w", name, err)
	}
	k.content.rigid = k.content.rigid || rigidFields(docs[0])
	return k.check(depth)
}

// read copies a file into the overlay.
func (l *layer) read(name string) ([]byte, error) {
	mode, ok := l.known[name]
	if !ok || mode.IsDir() {
		return nil, fmt.Errorf("%s:1: file is missing; write one, or remove the reference to its folder", name)
	}
	if strings.HasPrefix(name, "environments/") && path.Base(name) == "environment.yaml" {
		return nil, fmt.Errorf("%s:1: no object is made of this file, or editing a policy would roll releases; put what is to be used into another one", name)
	}
	if !mode.IsRegular() {
		return nil, fmt.Errorf("%s:1: symlinks and submodules are not followed; put a file there", name)
	}
	if info, err := fs.Stat(l.fsys, name); err == nil && info.Size() > maxFile {
		return nil, fmt.Errorf("%s:1: file is %d bytes; Kustomize reads at most %d here", name, info.Size(), maxFile)
	}
	data, err := fs.ReadFile(l.fsys, name)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if l.copied[name] = true; len(l.copied) > maxFiles {
		return nil, fmt.Errorf("%s:1: more than %d files; split the folder %s", name, maxFiles, l.dir)
	}
	l.content.files[strings.TrimPrefix(name, l.dir+"/")] = data
	return data, nil
}
