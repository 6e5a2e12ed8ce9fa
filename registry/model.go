package registry

import "path"

func (rd *reader) model(p place) *unit[Model] {
	files := rd.list(p.dir)
	if files == nil || !rd.isDir(p.dir) {
		return nil
	}
	u := &unit[Model]{place: p}
	m := &Model{Name: rd.word(p.name), Team: rd.word(p.team), Path: path.Join(p.dir, "model.yaml")}
	if !files.has("model.yaml") {
		u.report(Fault{m.Path, 1, "file is missing; a model's folder holds model.yaml"})
		return u
	}
	doc, faults := rd.file(m.Path, "Model", p.name, &m.Spec)
	u.report(faults...)
	u.report(badName(m.Path, "model", p.name, dnsLabel)...)
	if doc == nil || len(u.faults) > 0 {
		return u
	}
	u.value = m
	m.Versions = map[string]*ModelVersion{}
	if e := files.find("versions"); e != nil && e.IsDir() {
		rd.versions(u, path.Join(p.dir, "versions"))
	}
	return u
}

// versions reads a model's versions; a faulty one is only missed by those that name it.
func (rd *reader) versions(u *unit[Model], dir string) {
	files := rd.list(dir)
	u.report(misnamed(dir, files, func(string) bool { return true })...)
	m := u.value
	for _, version := range files.stems(".yaml") {
		v := &ModelVersion{Model: m.Name, Name: rd.word(version), Path: path.Join(dir, version+".yaml")}
		doc, faults := rd.file(v.Path, "ModelVersion", version, &v.Spec)
		faults = append(faults, badName(v.Path, "version", version, versionName)...)
		if doc != nil {
			faults = append(faults, checkModelVersion(doc, v)...)
		}
		if u.report(faults...); doc == nil || len(faults) > 0 {
			m.faulty = append(m.faulty, version)
			continue
		}
		m.Versions[v.Name] = v
	}
}
