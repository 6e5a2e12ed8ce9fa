package registry

import (
	"cmp"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// folder is what a release's folder holds.
type folder struct {
	entries []*entry // one per Release file, by environment
}

func (f *folder) entry(env string) *entry {
	for _, e := range f.entries {
		if e.key.Environment == env {
			return e
		}
	}
	return nil
}

// entry is one Release file, resolved against the files it names but not against other releases.
type entry struct {
	place          // of the folder
	key     Key    // two teams may claim one
	path    string // of the Release file
	release *Release
	faults  []Fault // told at this entry; a nil release without any stands on a shared file with a fault
	names   names
	depends []dependency
}

// names is what a Release names elsewhere: when that changes, it is resolved anew.
type names struct {
	model, runtime, accelerator string
	hinted                      bool // a fault lists what there is to name
}

// dependency is one name of dependsOn and where it stands.
type dependency struct {
	name, path string
	line       int
}

func byKey(a, b *entry) int { return cmp.Or(a.key.compare(b.key), strings.Compare(a.dir, b.dir)) }

// broken is why nobody can render the entry.
func (e *entry) broken() []Fault {
	if e.release == nil && len(e.faults) == 0 {
		return []Fault{{e.path, 1, "a file this release needs has a fault"}}
	}
	return e.faults
}

// folder reads a release's folder against the shared units of n. Entries of other environments than those
// of only are taken from old; a nil only means all.
func (rd *reader) folder(n *Registry, p place, old *folder, only map[string]bool) *unit[folder] {
	files := rd.list(p.dir)
	u := &unit[folder]{place: p, faults: rd.malformed(p.dir)}
	if len(u.faults) > 0 { // it may be in any environment, and nothing of it is deleted
		u.value = &folder{}
		for _, env := range n.tree.environments {
			u.value.entries = append(u.value.entries, &entry{place: p, key: Key{rd.word(env), rd.word(p.name)}, path: path.Join(p.dir, env+".yaml"), faults: u.faults})
		}
		return u
	}
	if files == nil || !rd.isDir(p.dir) {
		return nil
	}
	if u.report(badName(path.Join(p.dir, "serving.yaml"), "release", p.name, releaseName)...); len(u.faults) > 0 {
		return u
	}
	isEnv := func(name string) bool { _, ok := slices.BinarySearch(n.tree.environments, name); return ok }
	u.report(misnamed(p.dir, files, func(stem string) bool { return stem == "serving" || isEnv(stem) })...)
	u.value = &folder{}
	d := &draft{rd: rd, n: n, place: p, files: files}
	for _, env := range files.stems(".yaml") {
		var e *entry
		switch {
		case env == "serving" || env == "kustomization":
		case only != nil && !only[env]:
			e = old.entry(env)
		case isEnv(env) || rd.saysRelease(path.Join(p.dir, env+".yaml")):
			e = d.entry(env)
		}
		if e != nil {
			u.value.entries = append(u.value.entries, e)
		}
	}
	return u
}

var releaseKind = regexp.MustCompile(`(?m)^kind:\s*["']?Release\b`)

// saysRelease tells a Release for an environment that does not exist from the files of the release's
// Component that lie beside it.
func (rd *reader) saysRelease(name string) bool {
	data, err := fs.ReadFile(rd.fsys, name)
	return err == nil && releaseKind.Match(data)
}

// draft reads the Releases of one folder; the Serving is read once.
type draft struct {
	rd *reader
	n  *Registry
	place
	files listing

	read    bool
	serving *document
	faults  []Fault // of the Serving
}

// readServing gives the Serving; a fault of it is every Release's.
func (d *draft) readServing() (*document, []Fault) {
	if d.read {
		return d.serving, d.faults
	}
	d.read = true
	name := path.Join(d.dir, "serving.yaml")
	if !d.files.has("serving.yaml") {
		d.faults = []Fault{{name, 1, "file is missing; a release's folder holds serving.yaml beside its environments' files"}}
		return nil, d.faults
	}
	var spec ServingSpec
	d.serving, d.faults = d.rd.file(name, "Serving", d.name, &spec)
	return d.serving, d.faults
}

// entry resolves one Release; its faults, and those of the files it stands on, make it broken.
func (d *draft) entry(env string) *entry {
	word := d.rd.word
	e := &entry{place: d.place, key: Key{word(env), word(d.name)}, path: path.Join(d.dir, env+".yaml")}
	if len(d.n.root) == 0 || d.n.root[0].value == nil {
		for _, u := range d.n.root {
			e.faults = append(e.faults, u.faults...)
		}
		return e
	}
	root := d.n.root[0].value
	servingDoc, faults := d.readServing()
	e.faults = append(e.faults, faults...)
	var spec ReleaseSpec
	doc, faults := d.rd.file(e.path, "Release", d.name, &spec)
	if e.faults = append(e.faults, faults...); doc == nil || servingDoc == nil {
		return e
	}
	r := &Release{Name: e.key.Name, Team: word(d.team), Dir: d.dir, Path: e.path, ServingPath: path.Join(d.dir, "serving.yaml"),
		Images: root.spec.Images, VersionLine: line(doc.spec, "version"), tree: d.n.tree}
	own := without(doc.spec, "version", "promote")
	merged := lay(lay(root.defaults, servingDoc.spec), own)
	if faults := d.rd.decode(e.path, merged, &r.Serving); len(faults) > 0 {
		e.faults = append(e.faults, faults...)
		return e
	}
	c := &check{n: d.n, entry: e, doc: doc, serving: servingDoc}
	c.resolve(r, spec.Version)
	c.promote(r, spec.Promote)
	if d.files.has("kustomization.yaml") {
		r.Components = append(r.Components, d.dir)
	}
	if sub := d.files.find(env); sub != nil && sub.IsDir() && d.rd.list(path.Join(d.dir, env)).has("kustomization.yaml") {
		r.Components = append(r.Components, path.Join(d.dir, env))
	}
	if !c.bad {
		e.release = r
	}
	return e
}

// without is a mapping less some keys.
func without(n *yaml.Node, keys ...string) *yaml.Node {
	out := *n
	out.Content = nil
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !slices.Contains(keys, n.Content[i].Value) {
			out.Content = append(out.Content, n.Content[i], n.Content[i+1])
		}
	}
	return &out
}

// alternatives are fields of which one at most holds; setting one in a layer removes the others of those below.
var alternatives = [][]string{{"replicas", "autoscale"}}

// lay merges over on top of under, the alternatives of what over sets taken away.
func lay(under, over *yaml.Node) *yaml.Node {
	for _, group := range alternatives {
		if under != nil && slices.ContainsFunc(group, func(key string) bool { return sets(over, key) }) {
			under = without(under, group...)
		}
	}
	return merge(under, over)
}

// sets says whether a mapping has a value for a key: null takes one away.
func sets(n *yaml.Node, key string) bool {
	i := find(n, key)
	return i >= 0 && n.Content[i+1].Tag != "!!null"
}
