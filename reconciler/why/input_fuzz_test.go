package why

import (
	"slices"
	"strings"
	"testing"
)

// FuzzPath: a path that is written as davit does is read as the same.
func FuzzPath(f *testing.F) {
	f.Add("spec.template.spec.containers[server].args[--port]")
	f.Add(`.metadata.labels.davit\.dev/version`)
	f.Add(`a[name="x"][0].-v\`)
	f.Add("a..b[")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePath(text)
		if err != nil || slices.ContainsFunc(p, func(part string) bool {
			return strings.ContainsAny(part, `]"'=\`) || part == "" || strings.HasPrefix(part, ".")
		}) {
			return // what no field is called
		}
		again, err := ParsePath(p.String())
		if err != nil || !slices.Equal(p, again) {
			t.Errorf("%q is %q, and %q is %q, %v", text, p, p.String(), again, err)
		}
		p.in(map[string]any{"spec": []any{"a=b", map[string]any{"name": "server"}, nil}})
	})
}

// FuzzObject: an object's name is read as it is written.
func FuzzObject(f *testing.F) {
	f.Add("deployment.apps/iris")
	f.Add("/")
	f.Add("./x")
	f.Fuzz(func(t *testing.T, text string) {
		o, err := ParseObject(text)
		if err != nil {
			return
		}
		if again, err := ParseObject(o.String()); err != nil || again != o {
			t.Errorf("%q is %+v, and %q is %+v, %v", text, o, o.String(), again, err)
		}
		o.IsKind("Deployment", "apps")
	})
}

// FuzzScalars: a file whose scalars are looked at is written as a file with the same ones, and each other value is another.
func FuzzScalars(f *testing.F) {
	f.Add([]byte("apiVersion: v1\nkind: A\nspec: {replicas: 2, on: true, image: 'x@sha256:00', list: [a, null]}\n---\nb: |\n  text\n"))
	f.Add([]byte("a: &x {b: 1}\nc: *x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, ok := parse(data)
		if !ok {
			return
		}
		if len(d.scalars) > len(data)+1 {
			t.Errorf("%d scalars in %d bytes", len(d.scalars), len(data))
		}
		for _, s := range d.scalars {
			for _, other := range others(s.node) {
				if other == s.node.Value {
					t.Errorf("%q has no other", other)
				}
			}
		}
		text := d.bytes()
		if again, ok := parse(text); len(text) > 0 && ok && d.values() == len(d.scalars) && again.values() != d.values() {
			t.Errorf("%q has %d values, and %q has %d", data, d.values(), text, again.values())
		}
	})
}

// values counts the scalars that are not null: the encoder makes texts of some that are.
func (d *document) values() (n int) {
	for _, s := range d.scalars {
		if s.node.ShortTag() != "!!null" {
			n++
		}
	}
	return n
}
