package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ErrNoRegistry says that a tree holds no davit.yaml.
var ErrNoRegistry = errors.New("no davit.yaml at the root; run davit init, or pass -C DIR")

// Load reads a registry from the root of fsys. A fault in one file costs the releases that need that
// file and no other; faults are in the result. The error is for a tree that is no registry at all, or
// that can't be read.
func Load(fsys fs.FS) (*Registry, error) {
	if _, err := fs.Stat(fsys, "davit.yaml"); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, ErrNoRegistry
		}
		return nil, fmt.Errorf("reading davit.yaml: %w", err)
	}
	l := &loader{fsys: fsys, reg: &Registry{
		Models: map[string]*Model{}, Environments: map[string]*Environment{}, Runtimes: map[string]*Runtime{},
		Accelerators: map[string]*Accelerator{}, Broken: map[Key][]Fault{}, fsys: fsys,
	}, broken: map[string]bool{}}
	l.root()
	l.environments()
	l.runtimes()
	l.accelerators()
	l.models()
	l.releases()
	if l.err != nil {
		return nil, l.err
	}
	l.reg.Faults = sortFaults(l.faults)
	return l.reg, nil
}

// loader collects one registry.
type loader struct {
	fsys     fs.FS
	reg      *Registry
	defaults *yaml.Node // davit.yaml's spec.defaults, or nil
	faults   []Fault
	broken   map[string]bool // paths of files that exist and have a fault
	err      error           // the first I/O error: the tree can't be trusted to be whole
}

func (l *loader) report(faults ...Fault) {
	for _, f := range faults {
		l.broken[f.Path] = true
	}
	l.faults = append(l.faults, faults...)
}

// file reads and decodes one KRM file; a nil document means it is absent or faulty, which l.broken tells.
func (l *loader) file(name, kind, metadataName string, spec any) *document {
	data, err := fs.ReadFile(l.fsys, name)
	if err != nil {
		info, statErr := fs.Stat(l.fsys, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case statErr == nil && !info.Mode().IsRegular():
			l.report(Fault{name, 1, "not a file; put a file of kind " + kind + " there"})
		default:
			l.fail(fmt.Errorf("reading %s: %w", name, err))
		}
		return nil
	}
	doc, faults := parse(name, data)
	if doc != nil && doc.kind == kind {
		faults = append(faults, decode(name, doc.spec, spec)...)
	} else if doc != nil && doc.kind != "" {
		faults = append(faults, Fault{name, 1, fmt.Sprintf("kind is %q; a file at this place is kind: %s", doc.kind, kind)})
	}
	if doc != nil && doc.name != "" && doc.name != metadataName {
		faults = append(faults, Fault{name, line(doc.names, "name"), fmt.Sprintf("metadata.name %q disagrees with the place; write %q or leave it out", doc.name, metadataName)})
	}
	if len(faults) > 0 {
		l.report(faults...)
		return nil
	}
	return doc
}

func (l *loader) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

// folders lists the sub-folders of dir whose names are DNS labels; others are faults.
func (l *loader) folders(dir string) []string {
	return l.names(dir, func(e fs.DirEntry) (string, bool) { return e.Name(), e.IsDir() })
}

// yamls lists the .yaml files of dir without their ending.
func (l *loader) yamls(dir string) []string {
	return l.names(dir, func(e fs.DirEntry) (string, bool) {
		name, ok := strings.CutSuffix(e.Name(), ".yaml")
		return name, ok && !e.IsDir()
	})
}

// misnamed reports .yml files that were meant to be read: passed over in silence, a rename would remove them.
func (l *loader) misnamed(dir string, meant func(stem string) bool) {
	for _, stem := range l.names(dir, func(e fs.DirEntry) (string, bool) {
		stem, ok := strings.CutSuffix(e.Name(), ".yml")
		return stem, ok && !e.IsDir()
	}) {
		if meant(stem) {
			l.report(Fault{path.Join(dir, stem+".yml"), 1, fmt.Sprintf("only .yaml files are read; rename it to %s.yaml", stem)})
		}
	}
}

func (l *loader) names(dir string, pick func(fs.DirEntry) (string, bool)) (names []string) {
	entries, err := fs.ReadDir(l.fsys, dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.fail(fmt.Errorf("reading %s: %w", dir, err))
	}
	for _, e := range entries {
		if name, ok := pick(e); ok && !strings.HasPrefix(name, ".") {
			names = append(names, name)
		}
	}
	return names
}

// named reports a name that can't become a Kubernetes name.
func (l *loader) named(file, what, name string, pattern nameRule) bool {
	if pattern.ok(name) {
		return true
	}
	l.report(Fault{file, 1, fmt.Sprintf("%s %q is not %s; rename it", what, name, pattern.text)})
	return false
}

func (l *loader) exists(name string) bool {
	_, err := fs.Stat(l.fsys, name)
	return err == nil
}

// component is dir when it holds a kustomization.yaml, else "".
func (l *loader) component(dir string) string {
	if l.exists(path.Join(dir, "kustomization.yaml")) {
		return dir
	}
	return ""
}

func (l *loader) root() {
	doc := l.file("davit.yaml", "Registry", "davit", &l.reg.Spec)
	if doc == nil {
		return
	}
	if i := find(doc.spec, "defaults"); i >= 0 {
		l.defaults = doc.spec.Content[i+1]
	}
	l.report(checkImages(doc, &l.reg.Spec)...)
}

func (l *loader) environments() {
	for _, name := range l.folders("environments") {
		file := path.Join("environments", name, "environment.yaml")
		env := &Environment{Name: name, Path: file, Component: l.component(path.Dir(file))}
		if !l.exists(file) {
			l.report(Fault{file, 1, "file is missing; an environment's folder holds environment.yaml"})
			continue
		}
		doc := l.file(file, "Environment", name, &env.Spec)
		if !l.named(file, "environment", name, dnsLabel) || doc == nil {
			continue
		}
		if faults := checkEnvironment(doc, env); len(faults) > 0 {
			l.report(faults...)
			continue
		}
		l.reg.Environments[name] = env
	}
}

func (l *loader) runtimes() {
	for _, name := range l.folders("runtimes") {
		for _, version := range l.folders(path.Join("runtimes", name)) {
			dir := path.Join("runtimes", name, version)
			rt := &Runtime{Name: name, Version: version, Dir: dir, Path: path.Join(dir, "runtime.yaml")}
			if !l.exists(rt.Path) || !l.exists(path.Join(dir, "kustomization.yaml")) {
				l.report(Fault{rt.Path, 1, "a runtime's folder holds runtime.yaml and kustomization.yaml; one is missing"})
				continue
			}
			doc := l.file(rt.Path, "Runtime", name, &rt.Spec)
			if doc == nil {
				continue
			}
			if faults := checkRuntime(doc, rt); len(faults) > 0 {
				l.report(faults...)
				continue
			}
			l.reg.Runtimes[rt.String()] = rt
		}
	}
}

func (l *loader) accelerators() {
	for _, name := range l.folders("accelerators") {
		dir := path.Join("accelerators", name)
		acc := &Accelerator{Name: name, Dir: dir, Path: path.Join(dir, "accelerator.yaml")}
		if !l.exists(acc.Path) || !l.exists(path.Join(dir, "kustomization.yaml")) {
			l.report(Fault{acc.Path, 1, "an accelerator's folder holds accelerator.yaml and kustomization.yaml; one is missing"})
			continue
		}
		doc := l.file(acc.Path, "Accelerator", name, &acc.Spec)
		if doc == nil {
			continue
		}
		if acc.Spec.Resource == "" {
			l.report(Fault{acc.Path, line(doc.spec), `spec.resource is missing; write the resource that gpus counts, such as nvidia.com/gpu`})
			continue
		}
		l.reg.Accelerators[name] = acc
	}
}

func (l *loader) models() {
	for _, name := range l.folders("models") {
		dir := path.Join("models", name)
		m := &Model{Name: name, Path: path.Join(dir, "model.yaml"), Versions: map[string]*ModelVersion{}}
		if !l.exists(m.Path) {
			l.report(Fault{m.Path, 1, "file is missing; a model's folder holds model.yaml"})
			continue
		}
		doc := l.file(m.Path, "Model", name, &m.Spec)
		if !l.named(m.Path, "model", name, dnsLabel) || doc == nil {
			continue
		}
		l.versions(m, path.Join(dir, "versions"))
		l.reg.Models[name] = m
	}
}

func (l *loader) versions(m *Model, dir string) {
	l.misnamed(dir, func(string) bool { return true })
	for _, version := range l.yamls(dir) {
		v := &ModelVersion{Model: m.Name, Name: version, Path: path.Join(dir, version+".yaml")}
		doc := l.file(v.Path, "ModelVersion", version, &v.Spec)
		if !l.named(v.Path, "version", version, versionName) || doc == nil {
			continue
		}
		if faults := checkModelVersion(doc, v); len(faults) > 0 {
			l.report(faults...)
			continue
		}
		m.Versions[version] = v
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
