package registry

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// VersionName is what the version is called that a run made, by its name, which ended then: the spec's pattern with
// {run}, {date} and {n} filled in, n from 1. Without {n} and {run}, a name that is taken gets "-2", "-3" and so on. A run
// has a name of its own, so {run} alone is not asked about: a run's version that is there already is its own. taken must
// be false for some number.
func (t *Training) VersionName(run string, ended time.Time, taken func(version string) bool) string {
	pattern := t.Spec.Version
	if pattern == "" {
		pattern = "{run}"
	}
	if strings.Contains(pattern, "{n}") {
		for n := 1; ; n++ {
			if name := fill(pattern, run, ended, n); !taken(name) {
				return name
			}
		}
	}
	first := fill(pattern, run, ended, 0)
	if strings.Contains(pattern, "{run}") {
		return first
	}
	name := first
	for n := 2; taken(name); n++ {
		name = first + "-" + strconv.Itoa(n)
	}
	return name
}

func fill(pattern, run string, ended time.Time, n int) string {
	return strings.NewReplacer("{run}", run, "{date}", ended.UTC().Format("20060102"), "{n}", strconv.Itoa(n)).Replace(pattern)
}

// versionPattern checks the names that VersionName makes, as long as they become in practice.
func (c *trainingCheck) versionPattern(t *Training) {
	pattern, field := t.Spec.Version, []string{"version"}
	if pattern == "" {
		return
	}
	known := []string{"{run}", "{date}", "{n}"}
	for rest := pattern; ; {
		at := strings.IndexAny(rest, "{}")
		if at < 0 {
			break
		}
		word, after, closed := strings.Cut(rest[at:], "}")
		if word += "}"; !closed || !slices.Contains(known, word) {
			c.add(field, "version: %q is not known in %q (have %s)", strings.TrimSuffix(rest[at:], after), pattern, strings.Join(known, ", "))
			return
		}
		rest = after
	}
	run := t.RunName(strings.Repeat("0", runHashLength))
	if !trainingName.ok(t.Name) {
		run = "a" // the file's name is told of elsewhere
	}
	day := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	longest := fill(pattern, run, day, 999)
	if !strings.Contains(pattern, "{n}") && !strings.Contains(pattern, "{run}") {
		longest += "-99"
	}
	if name := fill(pattern, run, day, 1); !versionName.ok(name) || !versionName.ok(longest) {
		c.add(field, "version: %q makes names such as %q, which is not %s", pattern, longest, versionName.text)
	} else if !isText(name) {
		c.add(field, "version: %q makes names such as %s, which is a number in YAML; write v%s", pattern, name, pattern)
	}
}
