package plan

import (
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/render"
)

// objects compares what is rendered; nil stands for nothing. Objects keep the order they are printed in, those that go
// come last.
func objects(from, to *render.Output) []Object {
	was, is := known(from), known(to)
	out := []Object{}
	for _, o := range is {
		before := was.take(o)
		if before == nil {
			out = append(out, whole(Add, o))
		} else if fields := differences(before.object, o.object); len(fields) > 0 {
			out = append(out, Object{Change: Modify, Kind: o.kind, Name: o.name, Fields: fields})
		}
	}
	for _, o := range was {
		if !o.taken {
			out = append(out, whole(Remove, o))
		}
	}
	return out
}

// item is an object of an output, without names that only say what is in it.
type item struct {
	kind, name, id string
	object         map[string]any
	taken          bool
}

type items []*item

// generated ends the name of a ConfigMap or Secret that Kustomize named after its content.
var generated = regexp.MustCompile(`-[bcdfghkmt2456789]{10}$`)

// known are an output's objects. That a rollout's or a generated object's name is another says nothing to people.
func known(out *render.Output) (all items) {
	if out == nil {
		return nil
	}
	var pairs []string
	if out.Rollout != "" {
		pairs = append(pairs, out.Rollout, "…")
	}
	for _, o := range out.Objects {
		if kind := o.GetKind(); kind == "ConfigMap" || kind == "Secret" {
			if hash := generated.FindString(o.GetName()); hash != "" {
				pairs = append(pairs, o.GetName(), strings.TrimSuffix(o.GetName(), hash)+"-…")
			}
		}
	}
	names := strings.NewReplacer(pairs...)
	for _, o := range out.Objects {
		all = append(all, newItem(o, names))
	}
	return all
}

func newItem(o *unstructured.Unstructured, names *strings.Replacer) *item {
	object, _ := renamed(o.Object, names).(map[string]any)
	name := names.Replace(o.GetName())
	group, _, _ := strings.Cut(o.GetAPIVersion(), "/")
	return &item{kind: o.GetKind(), name: name, object: object, id: strings.Join([]string{group, o.GetKind(), o.GetNamespace(), name}, "\x00")}
}

// renamed is a copy with other names.
func renamed(v any, names *strings.Replacer) any {
	switch v := v.(type) {
	case string:
		return names.Replace(v)
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[key] = renamed(value, names)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = renamed(value, names)
		}
		return out
	}
	return v
}

// take finds an object before, each once.
func (all items) take(o *item) *item {
	i := slices.IndexFunc(all, func(other *item) bool { return !other.taken && other.id == o.id })
	if i < 0 {
		return nil
	}
	all[i].taken = true
	return all[i]
}

func differences(from, to map[string]any) []Field {
	d := differ{secret: secrets(to)}
	d.maps("", from, to)
	return d.fields
}

// secrets says which fields of an object may hold a secret.
func secrets(object map[string]any) func(string) bool {
	if object["kind"] != "Secret" {
		return nil
	}
	return func(path string) bool {
		return strings.HasPrefix(path, "data") || strings.HasPrefix(path, "stringData")
	}
}

// masked is an object without what may be secret.
func masked(object map[string]any) map[string]any {
	if secrets(object) == nil {
		return object
	}
	out := map[string]any{}
	for key, value := range object {
		if key == "data" || key == "stringData" {
			value = hidden
		}
		out[key] = value
	}
	return out
}

// whole is an object that is new or goes.
func whole(change Change, o *item) Object {
	f := Field{}
	body, err := yaml.Marshal(masked(o.object))
	if err != nil {
		body = []byte(err.Error()) // what was rendered can be written
	}
	text := string(body)
	if change == Add {
		f.To = &text
	} else {
		f.From = &text
	}
	return Object{Change: change, Kind: o.kind, Name: o.name, Fields: []Field{f}}
}
