package registry_test

import (
	"testing"
	"testing/fstest"
)

func TestLine(t *testing.T) {
	const file = "environments/production/environment.yaml"
	fsys := base(t)
	fsys[file] = &fstest.MapFile{Data: []byte(`apiVersion: davit.dev/v1alpha1
kind: Environment
spec:
  runtimes: {custom: "1.0"}
  capabilities:
    features:
      - jobset
      - dra
`)}
	reg := load(t, fsys)
	for _, c := range []struct {
		path  string
		field []string
		want  int
	}{
		{file, []string{"capabilities", "features", "1"}, 8},
		{file, []string{"capabilities", "kubernetes"}, 5}, // not there: the deepest part of the way
		{"environments/none/environment.yaml", []string{"capabilities"}, 1},
	} {
		if got := reg.Line(c.path, c.field...); got != c.want {
			t.Errorf("%s %q: line %d, want %d", c.path, c.field, got, c.want)
		}
	}
}
