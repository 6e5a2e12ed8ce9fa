package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// hidden stands for a value that may be secret.
const hidden = "(hidden)"

// differ walks two versions of a document and keeps where they differ.
type differ struct {
	fields []Field
	secret func(path string) bool // nil: nothing is
	deep   bool                   // a mapping that is new or gone is told field by field
}

func (d *differ) values(path string, from, to any) {
	if reflect.DeepEqual(from, to) {
		return
	}
	f, had := from.(map[string]any)
	t, has := to.(map[string]any)
	if had && has || d.deep && (had && to == nil || has && from == nil) {
		d.maps(path, f, t)
		return
	}
	if f, ok := from.([]any); ok {
		if t, ok := to.([]any); ok && d.lists(path, f, t) {
			return
		}
	}
	d.add(path, from, to)
}

func (d *differ) maps(path string, from, to map[string]any) {
	keys := slices.Concat(slices.Collect(maps.Keys(from)), slices.Collect(maps.Keys(to)))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		d.values(below(path, key), from[key], to[key])
	}
}

// below is the path of a field of a mapping.
func below(path, key string) string {
	switch {
	case strings.ContainsAny(key, "./[]"):
		return path + "[" + strconv.Quote(key) + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

// lists compares items by name; plain ones by what is in one list only; others by their place where there are as many.
func (d *differ) lists(path string, from, to []any) bool {
	if f, ok := byName(from); ok {
		if t, ok := byName(to); ok {
			before := len(d.fields)
			for _, item := range slices.Concat(from, to) {
				name := item.(map[string]any)["name"].(string)
				if was, is := f[name], t[name]; was != nil || is != nil {
					d.values(path+"["+name+"]", orNil(was), orNil(is))
				}
				delete(f, name)
				delete(t, name)
			}
			return len(d.fields) > before // else only the order differs
		}
	}
	if plainItems(from) && plainItems(to) {
		return d.items(path, from, to)
	}
	if len(from) != len(to) || plainItems(from) || plainItems(to) {
		return false
	}
	for i := range from {
		d.values(fmt.Sprintf("%s[%d]", path, i), from[i], to[i])
	}
	return true
}

func orNil(m map[string]any) any {
	if m == nil {
		return nil
	}
	return m
}

func byName(list []any) (map[string]map[string]any, bool) {
	out := map[string]map[string]any{}
	for _, item := range list {
		m, _ := item.(map[string]any)
		name, ok := m["name"].(string)
		if !ok || out[name] != nil {
			return nil, false
		}
		out[name] = m
	}
	return out, true
}

func plainItems(list []any) bool {
	return !slices.ContainsFunc(list, func(item any) bool {
		switch item.(type) {
		case map[string]any, []any:
			return true
		}
		return false
	})
}

// items tells which are gone and which are new. What begins alike, as --max-model-len=1 and =2 do, is one that changed.
func (d *differ) items(path string, from, to []any) bool {
	gone, came := less(from, to), less(to, from)
	if len(gone)+len(came) == 0 {
		return false // only their order or number differs
	}
	for _, item := range gone {
		i := slices.IndexFunc(came, func(other any) bool { return option(item) != "" && option(item) == option(other) })
		if i < 0 {
			d.add(path+"[]", item, nil)
			continue
		}
		d.add(path+"[]", item, came[i])
		came = slices.Delete(came, i, i+1)
	}
	for _, item := range came {
		d.add(path+"[]", nil, item)
	}
	return true
}

// less is what is in a and not in b.
func less(a, b []any) (out []any) {
	for _, item := range a {
		if !slices.Contains(b, item) {
			out = append(out, item)
		}
	}
	return out
}

// option is the name of an argument, and "" for anything else.
func option(item any) string {
	text, _ := item.(string)
	name, _, ok := strings.Cut(text, "=")
	if !ok || !strings.HasPrefix(name, "-") {
		return ""
	}
	return name
}

func (d *differ) add(path string, from, to any) {
	f := Field{Path: path, From: text(from), To: text(to)}
	if d.secret != nil && d.secret(path) {
		for _, v := range []*string{f.From, f.To} {
			if v != nil {
				*v = hidden
			}
		}
	}
	d.fields = append(d.fields, f)
}

// bare are strings that YAML reads as such without quotes.
var bare = regexp.MustCompile(`^[A-Za-z_/.@-][A-Za-z0-9_/.@:=,+-]*$`)

// text is a value as a person writes it in YAML, on one line; nil for none.
func text(v any) *string {
	if v == nil {
		return nil
	}
	s, ok := v.(string)
	if !ok || !bare.MatchString(s) || slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off", "-", "."}, strings.ToLower(s)) {
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			fmt.Fprint(&b, v)
		}
		s = strings.TrimSpace(b.String())
	}
	return &s
}
