package registry

import (
	"cmp"
	"errors"
	"io/fs"
	"path"
	"strings"
)

func (rd *reader) model(p place) *unit[Model] {
	files := rd.list(p.dir)
	u := &unit[Model]{place: p, faults: rd.malformed(p.dir)}
	if len(u.faults) > 0 {
		return u
	}
	if files == nil || !rd.isDir(p.dir) {
		return nil
	}
	m := &Model{Name: rd.word(p.name), Team: rd.word(p.team), Path: path.Join(p.dir, "model.yaml")}
	if !files.has("model.yaml") {
		u.report(Fault{m.Path, 1, "file is missing; a model's folder holds model.yaml"})
		return u
	}
	doc, faults := rd.file(m.Path, "Model", p.name, &m.Spec)
	u.report(faults...)
	u.report(badName(m.Path, "model", p.name, dnsLabel)...)
	if doc != nil {
		u.report(checkModelGates(doc, m)...)
	}
	if doc == nil || len(u.faults) > 0 {
		return u
	}
	u.value = m
	m.Versions = map[string]*ModelVersion{}
	if e := files.find("versions"); e != nil && e.IsDir() {
		rd.versions(u, path.Join(p.dir, "versions"))
	}
	if u.value == nil {
		return u
	}
	if e := files.find("bad"); e != nil && e.IsDir() {
		rd.bad(u, path.Join(p.dir, "bad"))
	}
	return u
}

// versions reads a model's versions; a faulty one is only missed by those that name it.
func (rd *reader) versions(u *unit[Model], dir string) {
	files := rd.list(dir)
	if u.report(rd.malformed(dir)...); len(u.faults) > 0 {
		u.value = nil
		return
	}
	u.report(misnamed(dir, files, func(string) bool { return true })...)
	m := u.value
	for _, version := range files.stems(".yaml") {
		v, faults := rd.version(m.Name, dir, version)
		if u.report(faults...); v == nil {
			m.faulty = append(m.faulty, version)
			continue
		}
		m.Versions[v.Name] = v
	}
}

// version reads one version of a model; nil when it is absent or has a fault.
func (rd *reader) version(model, dir, name string) (*ModelVersion, []Fault) {
	v := &ModelVersion{Model: model, Name: rd.word(name), Path: path.Join(dir, name+".yaml")}
	doc, faults := rd.file(v.Path, "ModelVersion", name, &v.Spec)
	if faults = checkVersion(doc, v, faults); doc == nil || len(faults) > 0 {
		return nil, faults
	}
	return v, faults
}

// checkVersion adds to the faults of a version's document, nil when it can't be read, what is wrong with what it says.
func checkVersion(doc *document, v *ModelVersion, faults []Fault) []Fault {
	faults = append(faults, badName(v.Path, "version", v.Name, versionName)...)
	if doc != nil {
		faults = append(faults, checkModelVersion(doc, v)...)
	}
	return faults
}

// LoadVersion reads the one file of a ModelVersion, which lies at path as [ModelVersion.Path] tells it. A file that is
// absent is fs.ErrNotExist.
func LoadVersion(fsys fs.FS, name string) (*ModelVersion, error) {
	rd := &reader{fsys: fsys, cache: newCache()}
	dir := path.Dir(name)
	v, faults := rd.version(path.Base(path.Dir(dir)), dir, strings.TrimSuffix(path.Base(name), ".yaml"))
	switch {
	case v != nil:
		return v, nil
	case len(faults) > 0:
		return nil, errors.New(faults[0].String())
	}
	return nil, cmp.Or(rd.err, error(&fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}))
}
