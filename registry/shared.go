package registry

import (
	"io/fs"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// root is what davit.yaml says.
type root struct {
	spec     RegistrySpec
	defaults *yaml.Node // spec.defaults, or nil
}

func (rd *reader) root(p place) *unit[root] {
	u := &unit[root]{place: p}
	r := &root{}
	doc, faults := rd.file("davit.yaml", "Registry", "davit", &r.spec)
	u.report(faults...)
	if doc == nil {
		return u
	}
	if i := find(doc.spec, "defaults"); i >= 0 {
		r.defaults = doc.spec.Content[i+1]
	}
	if u.report(checkImages(doc, &r.spec)...); len(u.faults) == 0 {
		u.value = r
	}
	return u
}

func (rd *reader) environment(p place) *unit[Environment] {
	if !rd.isDir(p.dir) {
		return nil
	}
	files := rd.list(p.dir)
	u := &unit[Environment]{place: p}
	env := &Environment{Name: rd.word(p.name), Path: path.Join(p.dir, "environment.yaml")}
	if files.has("kustomization.yaml") {
		env.Component = p.dir
	}
	if u.report(rd.malformed(p.dir)...); len(u.faults) > 0 {
		return u
	}
	if !files.has("environment.yaml") {
		u.report(Fault{env.Path, 1, "file is missing; an environment's folder holds environment.yaml"})
		return u
	}
	doc, faults := rd.file(env.Path, "Environment", p.name, &env.Spec)
	u.report(faults...)
	u.report(badName(env.Path, "environment", p.name, dnsLabel)...)
	if doc != nil {
		u.report(checkEnvironment(doc, env)...)
	}
	if doc == nil || len(u.faults) > 0 {
		return u
	}
	env.digest = rd.digest(path.Join(p.dir, "kustomization.yaml"), env.Component).and(rendered(doc))
	u.value = env
	return u
}

func (rd *reader) runtime(p place) *unit[Runtime] {
	if !rd.isDir(p.dir) {
		return nil
	}
	name, version, _ := strings.Cut(p.name, "@")
	files := rd.list(p.dir)
	u := &unit[Runtime]{place: p}
	rt := &Runtime{Name: name, Version: version, Dir: p.dir, Path: path.Join(p.dir, "runtime.yaml")}
	if u.report(rd.malformed(p.dir)...); len(u.faults) > 0 {
		return u
	}
	if !files.has("runtime.yaml") || !files.has("kustomization.yaml") {
		u.report(Fault{rt.Path, 1, "a runtime's folder holds runtime.yaml and kustomization.yaml; one is missing"})
		return u
	}
	doc, faults := rd.file(rt.Path, "Runtime", name, &rt.Spec)
	if u.report(faults...); doc == nil {
		return u
	}
	if u.report(checkRuntime(doc, rt, files)...); len(u.faults) == 0 {
		rt.digest = rd.digest(rt.Dir)
		u.value = rt
	}
	return u
}

func (rd *reader) accelerator(p place) *unit[Accelerator] {
	if !rd.isDir(p.dir) {
		return nil
	}
	files := rd.list(p.dir)
	u := &unit[Accelerator]{place: p}
	acc := &Accelerator{Name: p.name, Dir: p.dir, Path: path.Join(p.dir, "accelerator.yaml")}
	if u.report(rd.malformed(p.dir)...); len(u.faults) > 0 {
		return u
	}
	if !files.has("accelerator.yaml") || !files.has("kustomization.yaml") {
		u.report(Fault{acc.Path, 1, "an accelerator's folder holds accelerator.yaml and kustomization.yaml; one is missing"})
		return u
	}
	doc, faults := rd.file(acc.Path, "Accelerator", p.name, &acc.Spec)
	if u.report(faults...); doc == nil {
		return u
	}
	if u.report(checkAccelerator(doc, &acc.Spec)...); len(u.faults) > 0 {
		return u
	}
	acc.digest = rd.digest(acc.Dir)
	u.value = acc
	return u
}

// team reads who owns a team's folder. A fault costs no release: rendering has no use for it.
func (rd *reader) team(p place) *unit[Team] {
	if !rd.isDir(p.dir) {
		return nil
	}
	u := &unit[Team]{place: p}
	t := &Team{Name: rd.word(p.name), Path: path.Join(p.dir, "team.yaml")}
	if _, err := fs.Lstat(rd.fsys, t.Path); err != nil {
		u.report(Fault{t.Path, 1, "file is missing; write kind: Team with spec: {owners: [NAME]}"})
	}
	u.report(badName(t.Path, "team", p.name, dnsLabel)...)
	doc, faults := rd.file(t.Path, "Team", p.name, &t.Spec)
	if u.report(faults...); doc == nil {
		return u
	}
	if len(t.Spec.Owners) == 0 {
		u.report(Fault{t.Path, line(doc.spec, "owners"), "spec.owners is missing or empty; list who owns the team's folder, such as [team-flowers]"})
	}
	if len(u.faults) == 0 {
		u.value = t
	}
	return u
}
