package registry

import (
	"fmt"
	"path"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

// BadVersion is models/<model>/bad/<version>.yaml: it stops new promotions of that version. What serves it goes on, and
// nothing rolls because of it: it is in no input key.
type BadVersion struct {
	Path string
	Spec BadVersionSpec
}

// BadVersionSpec says who found a version bad, when and why. It is the zero value when the file has a fault: that stops
// promotions, too.
type BadVersionSpec struct {
	Reason string `yaml:"reason"`
	By     string `yaml:"by"`
	At     Moment `yaml:"at"`
}

// Moment is a time, written as RFC 3339 has it.
type Moment struct{ time.Time }

func (m *Moment) decodeNode(d *decoder, n *yaml.Node, field string) {
	at, err := time.Parse(time.RFC3339, n.Value)
	if err != nil {
		d.fault(n, "%s: %q is not a time; write one such as 2026-03-31T23:59:00Z", field, n.Value)
		return
	}
	m.Time = at
}

// bad reads which of a model's versions are marked bad.
func (rd *reader) bad(u *unit[Model], dir string) {
	files := rd.list(dir)
	u.report(misnamed(dir, files, func(string) bool { return true })...)
	m := u.value
	for _, version := range files.stems(".yaml") {
		b := &BadVersion{Path: path.Join(dir, version+".yaml")}
		if v := m.Versions[version]; v != nil {
			v.Bad = b
		} else if !slices.Contains(m.faulty, version) {
			u.report(Fault{b.Path, 1, fmt.Sprintf("version %q of model %q does not exist (have %s); remove the file, or name it after one", version, m.Name, some(sortedKeys(m.Versions)))})
		}
		var spec BadVersionSpec
		doc, faults := rd.file(b.Path, "BadVersion", version, &spec)
		if doc != nil && spec.Reason == "" {
			faults = append(faults, Fault{b.Path, line(doc.spec, "reason"), "spec.reason is missing; say what is wrong with the version"})
		}
		if u.report(faults...); len(faults) == 0 {
			b.Spec = spec
		}
	}
}

// MarkedBad is a fault when r promotes a version that is marked bad: one that another release, nil for none, did not have.
// It never is one of r as it stands.
func (r *Release) MarkedBad(before *Release) *Fault {
	v := r.ModelVersion
	if v.Bad == nil || before != nil && before.ModelVersion.Model == v.Model && before.ModelVersion.Name == v.Name {
		return nil
	}
	return &Fault{r.Path, r.VersionLine, v.Bad.why(v)}
}

func (b *BadVersion) why(v *ModelVersion) string {
	text := fmt.Sprintf("version %q of model %q is marked bad", v.Name, v.Model)
	if b.Spec.By != "" {
		text += " by " + b.Spec.By
	}
	if b.Spec.Reason != "" {
		text += ": " + b.Spec.Reason
	}
	return fmt.Sprintf("%s (%s); choose another one, or remove that file", text, b.Path)
}
