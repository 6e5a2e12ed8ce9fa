package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// differ walks two versions of an object and keeps where they differ.
type differ struct {
	found  []FieldDrift
	owners []owner
	secret bool // the object is a Secret
}

// step is one part of a path: a field, or an item of a list.
type step struct {
	field string
	item  map[string]any // the item, whose key fields name it; nil for a field
	index int
}

func (s step) String() string {
	if s.item == nil {
		if strings.ContainsAny(s.field, "./") {
			return "[" + strconv.Quote(s.field) + "]"
		}
		return "." + s.field
	}
	if name, ok := s.item["name"].(string); ok {
		return "[name=" + strconv.Quote(name) + "]"
	}
	return fmt.Sprintf("[%d]", s.index)
}

func (d *differ) maps(at []step, live, wanted map[string]any) {
	hide := fromSecret(live) || fromSecret(wanted)
	keys := slices.Sorted(maps.Keys(live))
	for key := range wanted {
		if _, ok := live[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		l, inLive := live[key]
		w, inWanted := wanted[key]
		path := append(slices.Clone(at), step{field: key})
		if inLive && inWanted {
			d.values(path, l, w, hide && key == "value")
		} else {
			d.add(path, l, w, hide && key == "value")
		}
	}
}

func (d *differ) values(at []step, live, wanted any, hide bool) {
	if reflect.DeepEqual(live, wanted) {
		return
	}
	lm, lok := live.(map[string]any)
	wm, wok := wanted.(map[string]any)
	if lok && wok {
		d.maps(at, lm, wm)
		return
	}
	ll, lok := live.([]any)
	wl, wok := wanted.([]any)
	if lok && wok && d.lists(at, ll, wl) {
		return
	}
	d.add(at, live, wanted, hide)
}

// lists compares lists of objects item by item, by name or, where they have none, by place.
func (d *differ) lists(at []step, live, wanted []any) bool {
	lm, lok := items(live)
	wm, wok := items(wanted)
	if !lok || !wok {
		return false
	}
	ln, lok := named(lm)
	wn, wok := named(wm)
	if !lok || !wok {
		if len(lm) != len(wm) {
			return false
		}
		for i := range lm {
			d.maps(append(slices.Clone(at), step{item: lm[i], index: i}), lm[i], wm[i])
		}
		return true
	}
	before := len(d.found)
	for i, item := range lm {
		path := append(slices.Clone(at), step{item: item, index: i})
		if other, ok := wn[item["name"].(string)]; ok {
			d.maps(path, item, other)
		} else {
			d.add(path, item, nil, false)
		}
	}
	for i, item := range wm {
		if _, ok := ln[item["name"].(string)]; !ok {
			d.add(append(slices.Clone(at), step{item: item, index: i}), nil, item, false)
		}
	}
	return len(d.found) > before // else only the order differs
}

func items(list []any) (all []map[string]any, ok bool) {
	for _, o := range list {
		m, ok := o.(map[string]any)
		if !ok {
			return nil, false
		}
		all = append(all, m)
	}
	return all, true
}

func named(list []map[string]any) (map[string]map[string]any, bool) {
	byName := map[string]map[string]any{}
	for _, m := range list {
		name, ok := m["name"].(string)
		if !ok || byName[name] != nil {
			return nil, false
		}
		byName[name] = m
	}
	return byName, true
}

func (d *differ) add(at []step, live, wanted any, hide bool) {
	var path strings.Builder
	for _, s := range at {
		path.WriteString(s.String())
	}
	f := FieldDrift{Path: path.String()}
	secret := d.secret && (at[0].field == "data" || at[0].field == "stringData")
	f.Live, f.Wanted = value(live, hide || secret), value(wanted, hide || secret)
	for _, o := range d.owners {
		if owns(o.fields, at) {
			f.Managers = append(f.Managers, o.name)
		}
	}
	slices.Sort(f.Managers)
	f.Managers = slices.Compact(f.Managers)
	d.found = append(d.found, f)
}

func value(v any, hide bool) string {
	switch {
	case v == nil:
		return ""
	case hide:
		return Masked
	}
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(body)
}

// fromSecret says that the map is an environment variable that a Secret fills: a value in its place may be the
// Secret's.
func fromSecret(m map[string]any) bool {
	from, _ := m["valueFrom"].(map[string]any)
	return from["secretKeyRef"] != nil
}

// owner is a field manager other than davit and what it owns, as FieldsV1 has it.
type owner struct {
	name   string
	fields map[string]any
}

func owners(o metav1.Object) (all []owner) {
	for _, e := range o.GetManagedFields() {
		if e.Manager == Manager && e.Operation == metav1.ManagedFieldsOperationApply || e.FieldsV1 == nil {
			continue
		}
		fields := map[string]any{}
		if json.Unmarshal(e.FieldsV1.GetRawBytes(), &fields) == nil {
			all = append(all, owner{e.Manager, fields})
		}
	}
	return all
}

// owns follows a path through FieldsV1: "f:name" is a field, "k:{…}" an item with these keys. A set that ends
// before the path owns all below, one that goes on below the path owns part of it.
func owns(fields map[string]any, at []step) bool {
	for _, s := range at {
		if len(fields) == 0 {
			return true
		}
		next, ok := fields["f:"+s.field].(map[string]any)
		if s.item != nil {
			next, ok = itemFields(fields, s.item)
		}
		if !ok {
			return false
		}
		fields = next
	}
	return true
}

func itemFields(fields, item map[string]any) (map[string]any, bool) {
	for key, below := range fields {
		keys := map[string]any{}
		text, ok := strings.CutPrefix(key, "k:")
		if !ok || json.Unmarshal([]byte(text), &keys) != nil {
			continue
		}
		fits := true
		for k, v := range keys {
			fits = fits && fmt.Sprint(item[k]) == fmt.Sprint(v)
		}
		if m, ok := below.(map[string]any); ok && fits {
			return m, true
		}
	}
	return nil, false
}
