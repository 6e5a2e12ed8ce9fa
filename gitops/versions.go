package gitops

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

var errNoTag = errors.New("it has no tag")

// versions are the tags that a range of semantic versions is about.
type versions struct {
	text   string // as it was given
	prefix string // of the tags' names: "registry/" for those of a part of the repository
	within *semver.Constraints
}

// parseVersions reads a range as Masterminds/semver has it: ">=1.0.0 <2.0.0", "~1.2", "^1.2.3", "1.x || >=3.0.0". In front of
// it may stand what the tags' names begin with, up to a slash: "registry/>=1.0.0".
func parseVersions(text string) (*versions, error) {
	cut := strings.LastIndex(text, "/") + 1
	v := &versions{text: text, prefix: strings.TrimSpace(text[:cut])}
	var err error
	if v.within, err = semver.NewConstraint(strings.TrimSpace(text[cut:])); err != nil {
		return nil, fmt.Errorf("%q is not a range of semantic versions: write \">=1.0.0 <2.0.0\", \"~1.2\" or \"^1.2.3\", and \"registry/>=1.0.0\" for tags such as registry/v1.2.0", text)
	}
	return v, nil
}

// tagged is a tag that is a semantic version.
type tagged struct {
	name    string
	version *semver.Version
}

// parse reads a tag's name: three numbers, with or without "v" before them. A day such as 20261124 is no version, or it
// would be above all others.
func (v *versions) parse(tag string) (tagged, bool) {
	number, ok := strings.CutPrefix(tag, v.prefix)
	if !ok {
		return tagged{}, false
	}
	version, err := semver.StrictNewVersion(strings.TrimPrefix(number, "v"))
	return tagged{tag, version}, err == nil
}

// pick is the tag with the greatest version in the range. Of two that differ in their build or their "v" alone, which count
// the same, it is the one whose name comes last.
func (v *versions) pick(tags []string) (string, error) {
	var all []tagged
	for _, tag := range tags {
		if t, ok := v.parse(tag); ok {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b tagged) int {
		if c := b.version.Compare(a.version); c != 0 {
			return c
		}
		return strings.Compare(b.name, a.name)
	})
	for _, t := range all {
		if v.within.Check(t.version) {
			return t.name, nil
		}
	}
	return "", v.none(all)
}

// none says that no tag fits, and which there are.
func (v *versions) none(all []tagged) error {
	if len(all) == 0 {
		return fmt.Errorf("%w that is a semantic version, such as %sv1.2.0; the range is %q", errNoTag, v.prefix, v.text)
	}
	newest := names(all[:min(len(all), 5)])
	hint := ""
	for _, t := range all {
		if release, err := t.version.SetPrerelease(""); err == nil && t.version.Prerelease() != "" && v.within.Check(&release) {
			hint = "; a range takes pre-releases where it names one, as >=1.0.0-0 does"
		}
	}
	return fmt.Errorf("%w in the range %q; the newest are %s%s", errNoTag, v.text, newest, hint)
}

func names(all []tagged) string {
	var names []string
	for _, t := range all {
		names = append(names, t.name)
	}
	return strings.Join(names, ", ")
}

// missingTag says that there is no such tag, and which ones there are.
func missingTag(tag string, have []string) error {
	v := versions{prefix: tag[:strings.LastIndex(tag, "/")+1]}
	var all []tagged
	for _, name := range have {
		if t, ok := v.parse(name); ok {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b tagged) int { return b.version.Compare(a.version) })
	hint := ""
	if len(all) > 0 {
		hint = "; the newest are " + names(all[:min(len(all), 5)])
	}
	return fmt.Errorf("%w %s%s", errNoTag, tag, hint)
}
