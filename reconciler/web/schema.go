package web

import (
	"encoding"
	"encoding/json"
	pkgpath "path"
	"reflect"
	"strings"
	"time"

	"github.com/davit-dev/davit/reconciler/fleet"
)

// schemas makes JSON Schemas of Go's types, as encoding/json writes their values.
type schemas struct {
	all   object
	names map[reflect.Type]string
}

var (
	marshaler     = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// of is the schema of a type; a struct's is named, and is a reference.
func (s *schemas) of(t reflect.Type) object {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[fleet.State]():
		return object{"type": "string", "enum": stateWords}
	case t.Implements(marshaler) || reflect.PointerTo(t).Implements(marshaler):
		return object{}
	case t.Implements(textMarshaler) || reflect.PointerTo(t).Implements(textMarshaler):
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": "string", "contentEncoding": "base64"}
		}
		return object{"type": "array", "items": s.orNull(t.Elem(), t.Elem().Kind() == reflect.Pointer)}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.orNull(t.Elem(), nullable(t.Elem()))}
	case reflect.Struct:
		return s.named(t)
	}
	return object{} // any
}

// nullable says that encoding/json may write null for a value.
func nullable(t reflect.Type) bool {
	return t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map
}

func (s *schemas) orNull(t reflect.Type, null bool) object {
	schema := s.of(t)
	if !null || len(schema) == 0 {
		return schema
	}
	if kind, ok := schema["type"].(string); ok && schema["enum"] == nil {
		schema["type"] = []any{kind, "null"}
		return schema
	}
	return object{"anyOf": []any{schema, object{"type": "null"}}}
}

// named describes a struct once, by its type's name; one of another package of the same name has the package's before it.
func (s *schemas) named(t reflect.Type) object {
	name, known := s.names[t]
	if !known {
		name = strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
		if _, taken := s.all[name]; taken {
			name = pkgpath.Base(t.PkgPath()) + "." + name
		}
		s.names[t] = name
		properties, required := object{}, []any{}
		s.all[name] = object{} // it may hold itself
		s.fields(t, properties, &required)
		schema := object{"type": "object", "properties": properties, "additionalProperties": false}
		if len(required) > 0 {
			schema["required"] = required
		}
		s.all[name] = schema
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// fields adds a struct's, and those of what is embedded in it.
func (s *schemas) fields(t reflect.Type, properties object, required *[]any) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		embedded := f.Type
		if embedded.Kind() == reflect.Pointer {
			embedded = embedded.Elem()
		}
		switch {
		case name == "-" && options == "":
			continue
		case f.Anonymous && name == "" && embedded.Kind() == reflect.Struct:
			s.fields(embedded, properties, required)
			continue
		case !f.IsExported():
			continue
		case name == "":
			name = f.Name
		}
		optional := strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
		if _, twice := properties[name]; !twice && !optional {
			*required = append(*required, name)
		}
		properties[name] = s.orNull(f.Type, nullable(f.Type) && !optional)
	}
}
