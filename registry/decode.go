package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds a KRM file; the largest real ones are model versions of a few hundred files.
const maxFile = 1 << 20

// document is one KRM file, parsed but not yet decoded into its Go type.
type document struct {
	path  string
	kind  string
	name  string // metadata.name, or ""
	names *yaml.Node
	spec  *yaml.Node // a mapping, never nil
}

// cache is what decoding one file can use for the next. It is not safe for concurrent use.
type cache struct {
	words  map[string]string // one copy of each short text
	fields map[reflect.Type]*structFields
}

func newCache() cache {
	return cache{words: map[string]string{}, fields: map[reflect.Type]*structFields{}}
}

// word is s, sharing memory with the same word read before: a registry says few different things.
func (c *cache) word(s string) string {
	if len(s) > 100 {
		return s
	}
	if known, ok := c.words[s]; ok {
		return known
	}
	c.words[s] = s
	return s
}

// structFields are a struct's fields by their YAML names, inline ones included.
type structFields struct {
	names []string
	index map[string][]int
}

func (c *cache) fieldsOf(t reflect.Type) *structFields {
	if f := c.fields[t]; f != nil {
		return f
	}
	f := &structFields{index: map[string][]int{}}
	for i := range t.NumField() {
		name, option, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if option != "inline" {
			f.names, f.index[name] = append(f.names, name), []int{i}
			continue
		}
		inner := c.fieldsOf(t.Field(i).Type)
		for _, name := range inner.names {
			f.names, f.index[name] = append(f.names, name), append([]int{i}, inner.index[name]...)
		}
	}
	c.fields[t] = f
	return f
}

// parse reads the one document of a file and its apiVersion, kind and metadata.
func (c *cache) parse(path string, data []byte) (*document, []Fault) {
	fault := func(line int, format string, args ...any) []Fault {
		return []Fault{{Path: path, Line: max(line, 1), Text: fmt.Sprintf(format, args...)}}
	}
	if len(data) > maxFile {
		return nil, []Fault{tooLarge(path, int64(len(data)))}
	}
	if n := Marks(data); n > MaxMarks {
		return nil, fault(1, "%d commas, colons, dashes, brackets and lines; at most %d are read", n, MaxMarks)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var root yaml.Node
	if err := dec.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fault(1, "file is empty; write apiVersion, kind and spec")
		}
		line, text := yamlError(err)
		return nil, fault(line, "%s", text)
	}
	var second yaml.Node
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, fault(max(second.Line, 1), "more than one document; write one object per file")
	}
	top := root.Content[0]
	if top.Kind != yaml.MappingNode {
		return nil, fault(top.Line, "not a mapping; write apiVersion, kind and spec")
	}
	if faults := checkNodes(path, top, 0); len(faults) > 0 {
		return nil, faults
	}
	return c.header(path, top)
}

// MaxMarks bounds what a file may be parsed into, before it is: a value takes 200 bytes then, and each stage of Kustomize
// makes another one of it. A model version of 300 files has 4,000.
const MaxMarks = 40_000

// Marks is how many values a YAML file can have at most.
func Marks(data []byte) (n int) {
	for _, c := range data {
		switch c {
		case ',', ':', '-', '[', '{', '?', '\n', '\r':
			n++
		}
	}
	return n
}

func tooLarge(path string, size int64) Fault {
	return Fault{path, 1, fmt.Sprintf("file is %d bytes; at most %d are read", size, maxFile)}
}

// header takes a document's outer fields apart.
func (c *cache) header(path string, top *yaml.Node) (*document, []Fault) {
	doc := &document{path: path, spec: &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: top.Line}}
	var faults []Fault
	add := func(line int, format string, args ...any) {
		faults = append(faults, Fault{Path: path, Line: line, Text: said(format, args...)})
	}
	apiVersion := ""
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, value := top.Content[i], top.Content[i+1]
		switch key.Value {
		case "apiVersion":
			apiVersion = value.Value
			if apiVersion != APIVersion {
				add(value.Line, "apiVersion %q is not known; write %s", value.Value, APIVersion)
			}
		case "kind":
			doc.kind = value.Value
		case "metadata":
			var meta struct {
				Name        string            `yaml:"name"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			}
			faults = append(faults, c.decode(path, value, &meta)...)
			doc.name, doc.names = meta.Name, value
		case "spec":
			if value.Kind == yaml.MappingNode {
				doc.spec = value
			} else if value.Tag != "!!null" {
				add(value.Line, "spec is not a mapping")
			}
		default:
			add(key.Line, "unknown field %q%s", key.Value, nearest(key.Value, []string{"apiVersion", "kind", "metadata", "spec"}))
		}
	}
	if apiVersion == "" && !slices.ContainsFunc(faults, func(f Fault) bool { return strings.HasPrefix(f.Text, "apiVersion") }) {
		add(top.Line, "apiVersion is missing; write apiVersion: %s", APIVersion)
	}
	if doc.kind == "" {
		add(top.Line, "kind is missing")
	}
	return doc, faults
}

// maxDepth bounds nesting; the deepest field of any kind is at 5.
const maxDepth = 30

// maxValue bounds a word or text; the longest are bodies of smoke tests.
const maxValue = 256 << 10

// checkNodes refuses what a registry file has no use for and an attacker has: anchors (an alias can
// stand for a billion nodes), merge keys, duplicate keys, deep nesting, NUL characters.
func checkNodes(path string, n *yaml.Node, depth int) []Fault {
	fault := func(format string, args ...any) []Fault {
		return []Fault{{Path: path, Line: n.Line, Text: said(format, args...)}}
	}
	switch {
	case len(n.Value) > maxValue:
		return fault("a value of %d bytes; at most %d are read", len(n.Value), maxValue)
	case depth > maxDepth:
		return fault("nested deeper than %d levels", maxDepth)
	case strings.Contains(n.Value, "\x00"):
		return fault("a value with a NUL character, which no argument, variable or name of a container can have; remove it")
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return fault("anchors and aliases are not read; write the value out")
	}
	var faults []Fault
	seen := map[string]bool{}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if c.Kind != yaml.ScalarNode {
				return fault("a key is not a word")
			}
			if seen[c.Value] {
				faults = append(faults, Fault{Path: path, Line: c.Line, Text: said("field %q is written twice", c.Value)})
			}
			seen[c.Value] = true
		}
		faults = append(faults, checkNodes(path, c, depth+1)...)
	}
	return faults
}

// yamlError takes "yaml: line 3: …" apart.
func yamlError(err error) (int, string) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, what, ok := strings.Cut(rest, ": "); ok {
			if line, err := strconv.Atoi(number); err == nil {
				return line, "not YAML: " + what
			}
		}
	}
	return 1, "not YAML: " + text
}

// decode fills out (a pointer) from n strictly and reports every fault: an unknown field with the
// nearest known one, a value of the wrong kind. A null leaves a field at its zero value.
func (c *cache) decode(path string, n *yaml.Node, out any) []Fault {
	d := decoder{cache: c, path: path}
	d.value(n, reflect.ValueOf(out).Elem(), "")
	return d.faults
}

type decoder struct {
	*cache
	path   string
	faults []Fault
}

func (d *decoder) fault(n *yaml.Node, format string, args ...any) {
	d.faults = append(d.faults, Fault{Path: d.path, Line: n.Line, Text: said(format, args...)})
}

func (d *decoder) value(n *yaml.Node, v reflect.Value, field string) {
	if n.Tag == "!!null" {
		return
	}
	if special, ok := v.Addr().Interface().(interface {
		decodeNode(*decoder, *yaml.Node, string)
	}); ok {
		special.decodeNode(d, n, field)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), field)
	case reflect.Struct:
		d.structure(n, v, field)
	case reflect.Map:
		d.mapping(n, v, field)
	case reflect.Slice:
		d.sequence(n, v, field)
	default:
		d.scalar(n, v, field)
	}
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, field string) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, "%s is not a mapping", field)
		return
	}
	fields := d.fieldsOf(v.Type())
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		index, ok := fields.index[key.Value]
		if !ok {
			d.fault(key, "unknown field %q%s", key.Value, nearest(key.Value, fields.names))
			continue
		}
		d.value(n.Content[i+1], v.FieldByIndex(index), key.Value)
	}
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, field string) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, "%s is not a mapping", field)
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.Content)/2))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if value.Tag == "!!null" {
			continue
		}
		elem := reflect.New(v.Type().Elem()).Elem()
		d.value(value, elem, field+"."+key.Value)
		v.SetMapIndex(reflect.ValueOf(d.word(key.Value)), elem)
	}
}

func (d *decoder) sequence(n *yaml.Node, v reflect.Value, field string) {
	if n.Kind != yaml.SequenceNode {
		d.fault(n, "%s is not a list", field)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, c := range n.Content {
		d.value(c, v.Index(i), fmt.Sprintf("%s[%d]", field, i))
	}
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, field string) {
	if n.Kind != yaml.ScalarNode {
		d.fault(n, "%s is not a %s", field, wordFor(v.Kind()))
		return
	}
	var err error
	switch v.Kind() {
	case reflect.String:
		if n.Tag != "!!str" {
			d.fault(n, "%s", notText(field, n))
			return
		}
		v.SetString(d.word(n.Value))
	case reflect.Bool:
		var b bool
		err = n.Decode(&b)
		v.SetBool(b)
	case reflect.Int, reflect.Int64:
		var i int64
		err = n.Decode(&i)
		v.SetInt(i)
	case reflect.Float64:
		var f float64
		if err = n.Decode(&f); err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) { // no bound holds NaN back
			err = errors.ErrUnsupported
		}
		v.SetFloat(f)
	default:
		err = errors.ErrUnsupported
	}
	if err != nil {
		d.fault(n, "%s: %q is not a %s", field, n.Value, wordFor(v.Kind()))
	}
}

// notText explains a scalar that YAML reads as something else than the text that was meant.
func notText(field string, n *yaml.Node) string {
	what := map[string]string{"!!int": "a number", "!!float": "a number", "!!bool": "a boolean", "!!timestamp": "a date"}[n.Tag]
	if what == "" {
		what = "not text"
	}
	if field == "version" {
		return fmt.Sprintf("version %s is %s in YAML; write \"v%s\"", n.Value, what, n.Value)
	}
	return fmt.Sprintf("%s: %s is %s in YAML; write %q", field, n.Value, what, n.Value)
}

func wordFor(k reflect.Kind) string {
	switch k {
	case reflect.Bool:
		return "boolean (true or false)"
	case reflect.Int, reflect.Int64:
		return "whole number"
	case reflect.Float64:
		return "number"
	}
	return "text"
}

func (a *Arg) decodeNode(d *decoder, n *yaml.Node, field string) {
	if n.Kind != yaml.ScalarNode {
		d.fault(n, "%s is not a single value", field)
		return
	}
	*a = Arg{Value: d.word(n.Value), True: n.Tag == "!!bool" && strings.EqualFold(n.Value, "true")}
}

func (e *EnvVar) decodeNode(d *decoder, n *yaml.Node, field string) {
	if n.Kind == yaml.ScalarNode {
		e.Value = d.word(n.Value)
		return
	}
	var ref struct {
		Secret string `yaml:"secret"`
		Key    string `yaml:"key"`
	}
	d.value(n, reflect.ValueOf(&ref).Elem(), field)
	if n.Kind == yaml.MappingNode && (ref.Secret == "" || ref.Key == "") {
		d.fault(n, "%s needs a value, or both secret and key", field)
	}
	e.Secret, e.Key = ref.Secret, ref.Key
}

// decodeNode takes numbers too: `cpu: 4` is how people write a quantity.
func (r *Resources) decodeNode(d *decoder, n *yaml.Node, field string) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, "%s is not a mapping", field)
		return
	}
	*r = make(Resources, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case value.Tag == "!!null":
		case value.Kind != yaml.ScalarNode || !quantity.MatchString(value.Value):
			d.fault(value, "%s.%s: %q is not a quantity; write one such as 4, 500m or 16Gi", field, key.Value, value.Value)
		default:
			(*r)[d.word(key.Value)] = d.word(value.Value)
		}
	}
}

func (u *Duration) decodeNode(d *decoder, n *yaml.Node, field string) {
	parsed, err := time.ParseDuration(n.Value)
	if err != nil || parsed < 0 {
		d.fault(n, `%s: %q is not a duration; write one such as "90s" or "20m"`, field, n.Value)
		return
	}
	*u = Duration(parsed)
}
