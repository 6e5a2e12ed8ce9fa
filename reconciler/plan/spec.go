package plan

import (
	"reflect"
	"strings"
	"time"

	"github.com/davit-dev/davit/registry"
)

// spec compares what two releases are asked to be: their Serving and Release, merged.
func spec(was, is *registry.Release) []Field {
	d := differ{deep: true}
	d.maps("", merged(was), merged(is))
	return d.fields
}

func merged(r *registry.Release) map[string]any {
	out, _ := written(reflect.ValueOf(r.Serving)).(map[string]any)
	if out == nil {
		out = map[string]any{}
	}
	out["version"] = r.ModelVersion.Name
	return out
}

// written is a value of a spec as a file would have it: fields by their names, without those that are zero.
func written(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case registry.Arg:
		if x.True {
			return true
		}
		return x.Value
	case registry.EnvVar:
		if x.Secret != "" {
			return map[string]any{"secret": x.Secret, "key": x.Key}
		}
		return x.Value
	case registry.Duration:
		return time.Duration(x).String()
	}
	switch v.Kind() {
	case reflect.Pointer:
		return written(v.Elem())
	case reflect.Struct:
		out := map[string]any{}
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			if field := v.Field(i); name != "" && !empty(field) {
				out[name] = written(field)
			}
		}
		return out
	case reflect.Map:
		out := map[string]any{}
		for _, key := range v.MapKeys() {
			out[key.String()] = written(v.MapIndex(key))
		}
		return out
	case reflect.Slice:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = written(v.Index(i))
		}
		return out
	}
	return v.Interface()
}

func empty(v reflect.Value) bool {
	return v.IsZero() || (v.Kind() == reflect.Map || v.Kind() == reflect.Slice) && v.Len() == 0
}
