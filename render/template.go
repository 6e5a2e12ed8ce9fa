package render

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// template is what Kustomize makes of a form: objects in which a string with tokens is a hole. It was built
// once with tokens for values, and once filled in for a release whose own build gave the same bytes.
type template struct {
	objects []object
}

// hole is a string made of parts: texts, and values by their number in the form.
type hole []part

type part struct {
	text  string
	value int // when text is ""
}

// learn makes a template when a form is seen for the second time: most forms that come once never come again.
func (r *Renderer) learn(f *form, o *overlay, out *Output) {
	if _, tried := r.templates.get(f.key); tried || len(out.YAML) > maxKept {
		return
	}
	if _, ok := r.seen.get(f.key); !ok {
		r.seen.put(f.key, true, maxSeen)
		return
	}
	t := o.template(f)
	if filled := t.fill(f, o); filled == nil || !bytes.Equal(filled.YAML, out.YAML) || !reflect.DeepEqual(filled.Objects, out.Objects) {
		t = nil
	}
	r.templates.put(f.key, t, maxTemplates) // nil says not to try again
}

// template builds the form; nil when it has none.
func (o *overlay) template(f *form) *template {
	// From the form's hash, so that no file of the form can hold it.
	prefix := fmt.Sprintf("t%xx", f.key[:8])
	r, image, rollout := new(form).abstract(o, func(i int) string { return fmt.Sprintf("%s%03dx", prefix, i) })
	g, err := o.generate(r, image, rollout)
	if err != nil {
		return nil
	}
	probe := *o
	out, err := probe.run(g)
	if err != nil {
		return nil
	}
	t := &template{}
	for _, object := range out.Objects {
		made, ok := compile(object.Object, prefix)
		if !ok {
			return nil
		}
		t.objects = append(t.objects, made.(map[string]any))
	}
	return t
}

// compile puts holes where tokens are. Fractions are refused: they print in more than one way.
func compile(v any, prefix string) (any, bool) {
	switch v := v.(type) {
	case string:
		return compileString(v, prefix)
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, e := range v {
			made, ok := compile(e, prefix)
			if !ok || strings.Contains(key, prefix) {
				return nil, false
			}
			out[key] = made
		}
		return out, true
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			var ok bool
			if out[i], ok = compile(e, prefix); !ok {
				return nil, false
			}
		}
		return out, true
	case nil, bool, int64:
		return v, true
	}
	return nil, false
}

func compileString(s, prefix string) (any, bool) {
	var parts hole
	for {
		text, rest, found := strings.Cut(s, prefix)
		if text != "" {
			parts = append(parts, part{text: text})
		}
		if !found {
			break
		}
		if len(rest) < 4 || rest[3] != 'x' {
			return nil, false
		}
		n, err := strconv.Atoi(rest[:3])
		if err != nil {
			return nil, false
		}
		parts, s = append(parts, part{value: n}), rest[4:]
	}
	if len(parts) == 0 || len(parts) == 1 && parts[0].text != "" {
		return s, true
	}
	return parts, true
}

// fill makes a release's output; nil, when it needs a build of its own, also to say what is wrong with it.
func (t *template) fill(f *form, o *overlay) *Output {
	objects := t.made(f, o)
	if objects == nil {
		return nil
	}
	var text bytes.Buffer
	for i, made := range objects {
		page, err := yaml.Marshal(made.Object)
		if err != nil {
			return nil
		}
		if i > 0 {
			text.WriteString(separator)
		}
		text.Write(page)
	}
	return output(objects, text.Bytes())
}

// made is the output's objects.
func (t *template) made(f *form, o *overlay) []*unstructured.Unstructured {
	if t == nil {
		return nil
	}
	var objects []*unstructured.Unstructured
	for _, made := range t.objects {
		objects = append(objects, &unstructured.Unstructured{Object: filled(made, f.values).(object)})
	}
	if o.check(objects) != nil {
		return nil
	}
	order(objects)
	selectors, err := wide(objects, o.release, o.names())
	if err != nil {
		return nil
	}
	for _, n := range selectors {
		if !n.apply(objects) {
			return nil
		}
	}
	return objects
}

// order sorts objects of one kind by name, as sortOptions has Kustomize do: a rollout's name is part of theirs.
func order(objects []*unstructured.Unstructured) {
	for i := 0; i < len(objects); {
		kind, j := objects[i].GroupVersionKind(), i+1
		for j < len(objects) && objects[j].GroupVersionKind() == kind {
			j++
		}
		slices.SortStableFunc(objects[i:j], func(a, b *unstructured.Unstructured) int { return strings.Compare(a.GetName(), b.GetName()) })
		i = j
	}
}

func filled(v any, values []string) any {
	switch v := v.(type) {
	case hole:
		var s strings.Builder
		for _, p := range v {
			if p.text == "" {
				s.WriteString(values[p.value])
			} else {
				s.WriteString(p.text)
			}
		}
		return s.String()
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, e := range v {
			out[key] = filled(e, values)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = filled(e, values)
		}
		return out
	}
	return v
}

// apply does what the narrowing's patch does, unless that could touch another object as well.
func (n narrowing) apply(objects []*unstructured.Unstructured) bool {
	for _, o := range objects {
		if o != n.object && o.GetKind() == n.object.GetKind() && o.GetName() == n.object.GetName() {
			return false
		}
	}
	for _, c := range n.changes {
		if !replace(n.object.Object, strings.Split(c.at[1:], "/"), runtime.DeepCopyJSON(c.value)) {
			return false
		}
	}
	return true
}

func replace(in any, at []string, value object) bool {
	var next any
	set := func() {}
	switch in := in.(type) {
	case map[string]any:
		next, set = in[at[0]], func() { in[at[0]] = value }
	case []any:
		i, err := strconv.Atoi(at[0])
		if err != nil || i < 0 || i >= len(in) {
			return false
		}
		next, set = in[i], func() { in[i] = value }
	}
	if next == nil {
		return false
	}
	if len(at) == 1 {
		set()
		return true
	}
	return replace(next, at[1:], value)
}
