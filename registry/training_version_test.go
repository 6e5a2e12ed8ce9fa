package registry_test

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestVersionName(t *testing.T) {
	ended := time.Date(2026, 11, 24, 23, 30, 0, 0, time.FixedZone("west", -3600))
	for _, c := range []struct {
		pattern, taken, want string
	}{
		{"", "", "tune-01234567"},
		{"", "tune-01234567", "tune-01234567"}, // its own
		{"{run}-x", "", "tune-01234567-x"},
		{"v{n}", "", "v1"},
		{"v{n}", "v1 v2 v4", "v3"},
		{"v{date}", "v20261124", "v20261125"},
		{"v{date}", "v20261125", "v20261125-2"},
		{"v{date}", "v20261125 v20261125-2 v20261125-3", "v20261125-4"},
		{"v{date}.{n}", "v20261125.1", "v20261125.2"},
		{"best", "best", "best-2"},
		{"{run}.{n}", "tune-01234567.1", "tune-01234567.2"},
	} {
		got := training(t, trained(t, map[string]string{"models/iris/training/tune.yaml": tune + "  version: \"" + c.pattern + "\"\n"})).
			VersionName("tune-01234567", ended, func(name string) bool { return slices.Contains(strings.Fields(c.taken), name) })
		if got != c.want {
			t.Errorf("%q with %q taken makes %q, want %q", c.pattern, c.taken, got, c.want)
		}
	}
}

func TestVersionPattern(t *testing.T) {
	for pattern, want := range map[string]string{
		"v{N}":                            `version: "{N}" is not known in "v{N}" (have {run}, {date}, {n})`,
		"v{n":                             `version: "{n" is not known in "v{n" (have {run}, {date}, {n})`,
		"v}{n}":                           `version: "}" is not known in "v}{n}" (have {run}, {date}, {n})`,
		"v{{n}}":                          `version: "{{n}" is not known in "v{{n}}" (have {run}, {date}, {n})`,
		"iris/{n}":                        `version: "iris/{n}" makes names such as "iris/999", which is not letters, digits, '.', '-' and '_', at most 63`,
		"-{n}":                            `which is not letters`,
		"{run}" + strings.Repeat("x", 60): `, at most 63`,
		strings.Repeat("x", 61):           `x-99", which is not`,
		"{date}":                          `version: "{date}" makes names such as 20261124, which is a number in YAML; write v{date}`,
		"{date}.{n}":                      `names such as 20261124.1, which is a number in YAML`,
		"{n}":                             `names such as 1, which is a number in YAML`,
	} {
		faults := load(t, trained(t, map[string]string{"models/iris/training/tune.yaml": tune + "  version: \"" + pattern + "\"\n"})).BrokenTrainings["iris/tune"]
		if len(faults) != 1 || !strings.Contains(faults[0].Text, want) || faults[0].Line != strings.Count(tune, "\n")+1 {
			t.Errorf("%q: %v, want %q", pattern, faults, want)
		}
	}
}
