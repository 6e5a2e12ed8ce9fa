package docs_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// registryFiles are the kinds of a registry's files: where they lie, and the Go type of their spec.
var registryFiles = []struct{ kind, place, spec string }{
	{"Registry", "davit.yaml", "RegistrySpec"},
	{"Environment", "environments/<environment>/environment.yaml", "EnvironmentSpec"},
	{"Runtime", "runtimes/<name>/<version>/runtime.yaml", "RuntimeSpec"},
	{"Accelerator", "accelerators/<name>/accelerator.yaml", "AcceleratorSpec"},
	{"Team", "teams/<team>/team.yaml", "TeamSpec"},
	{"Model", "models/<model>/model.yaml", "ModelSpec"},
	{"ModelVersion", "models/<model>/versions/<version>.yaml", "ModelVersionSpec"},
	{"BadVersion", "models/<model>/bad/<version>.yaml", "BadVersionSpec"},
	{"Training", "models/<model>/training/<name>.yaml", "TrainingSpec"},
	{"TrainingLock", "models/<model>/training/<name>.lock.yaml", "lockSpec"},
	{"Serving", "releases/<release>/serving.yaml", "ServingSpec"},
	{"Release", "releases/<release>/<environment>.yaml", "ReleaseSpec"},
}

// TestFiles holds reference/files.md against the types that package registry reads files into.
func TestFiles(t *testing.T) {
	s := readSource(t, "../../registry")
	var b bytes.Buffer
	b.WriteString("# The files of a registry\n\nWritten by `go test ./deploy/docs -update` from the types of [registry](../../../registry). Each file is one YAML\n" +
		"document: `apiVersion: davit.dev/v1alpha1`, `kind`, and `spec` with the fields below. `metadata.name` may be left out; where it\n" +
		"is, it has to be what the place says. A field that is not listed here is a fault. `davit validate` tells of each fault with its line.\n" +
		"Models and releases of a team lie in `teams/<team>/models` and `teams/<team>/releases`.\n\n| kind | file |\n|---|---|\n")
	for _, f := range registryFiles {
		fmt.Fprintf(&b, "| [%s](#%s) | `%s` |\n", f.kind, strings.ToLower(f.kind), f.place)
	}
	for _, f := range registryFiles {
		typ := s.types[f.spec]
		if typ == nil {
			t.Fatalf("no type %s", f.spec)
		}
		fmt.Fprintf(&b, "\n## %s\n\n`%s`\n\n%s| field | type | meaning |\n|---|---|---|\n", f.kind, f.place, about(typ.doc))
		s.fields(t, &b, "", f.spec)
	}
	hold(t, "reference/files.md", b.String())
}

// TestFilesAreAll holds the list of kinds above against the kinds that the registry's code asks for.
func TestFilesAreAll(t *testing.T) {
	s := readSource(t, "../../registry")
	listed := map[string]bool{}
	for _, f := range registryFiles {
		listed[f.kind] = true
	}
	if len(s.kinds) == 0 {
		t.Fatal("no kind is read")
	}
	for kind := range s.kinds {
		if !listed[kind] {
			t.Errorf("files of kind %s are read and not listed", kind)
		}
	}
	for kind := range listed {
		if !s.kinds[kind] {
			t.Errorf("files of kind %s are listed and not read", kind)
		}
	}
}

// about is a type's doc comment as a paragraph, less the name it begins with.
func about(doc string) string {
	_, rest, found := strings.Cut(line(doc), " is ")
	if !found {
		return ""
	}
	if place, more, ok := strings.Cut(rest, ": "); ok && strings.HasSuffix(place, ".yaml") {
		rest = more
	}
	return plain(rest) + "\n\n"
}

// source is what the code of a package says of its types.
type source struct {
	types map[string]*goType
	kinds map[string]bool // those that its readers name
}

// goType is a type: its doc comment, and what it is.
type goType struct {
	doc  string
	expr ast.Expr
	own  bool // it reads YAML by a method of its own, so that its fields are not those of the file
}

func readSource(t *testing.T, dir string) *source {
	t.Helper()
	s := &source{map[string]*goType{}, map[string]bool{}}
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var methods []string
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		s.declarations(file)
		methods = append(methods, s.calls(file)...)
	}
	for _, name := range methods {
		s.types[name].own = true
	}
	return s
}

// declarations takes the types of a file, and the constants that name kinds.
func (s *source) declarations(file *ast.File) {
	for _, d := range file.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				s.types[spec.Name.Name] = &goType{doc: decl.Doc.Text(), expr: spec.Type}
			case *ast.ValueSpec:
				if len(spec.Values) == 1 && strings.HasSuffix(spec.Names[0].Name, "Kind") {
					s.kind(spec.Values[0])
				}
			}
		}
	}
}

// calls takes the kinds of the files that are read, and gives the types that decode themselves.
func (s *source) calls(file *ast.File) (methods []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Name.Name == "decodeNode" && n.Recv != nil {
				methods = append(methods, n.Recv.List[0].Type.(*ast.StarExpr).X.(*ast.Ident).Name)
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "file" && len(n.Args) == 4 {
				s.kind(n.Args[1])
			}
		}
		return true
	})
	return methods
}

func (s *source) kind(e ast.Expr) {
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		if name, err := strconv.Unquote(lit.Value); err == nil {
			s.kinds[name] = true
		}
	}
}

// fields writes a row for each field of a struct, and those of its fields after it.
func (s *source) fields(t *testing.T, b *bytes.Buffer, above, name string) {
	t.Helper()
	fields := s.types[name].expr.(*ast.StructType).Fields.List
	for i, f := range fields {
		tag := ""
		if f.Tag != nil {
			text, _ := strconv.Unquote(f.Tag.Value)
			tag = reflect.StructTag(text).Get("yaml")
		}
		yamlName, option, _ := strings.Cut(tag, ",")
		if option == "inline" {
			s.fields(t, b, above, f.Type.(*ast.Ident).Name)
			continue
		}
		if yamlName == "" {
			t.Errorf("%s: a field has no name in YAML", name)
			continue
		}
		typ, below := s.typeOf(f.Type)
		fmt.Fprintf(b, "| `%s%s` | %s | %s |\n", above, yamlName, typ, s.says(fields, i, below))
		if below == "ServingSpec" {
			fmt.Fprintf(b, "| `%s%s.…` | | as [Serving](#serving) |\n", above, yamlName)
		} else if below != "" {
			s.fields(t, b, above+yamlName+suffix(typ)+".", below)
		}
	}
}

// says is a field's comment. One comment may stand over several fields that it names at its beginning, and a field
// without one is told by its type.
func (s *source) says(fields []*ast.Field, i int, below string) string {
	name := fields[i].Names[0].Name
	for j := i; j >= 0; j-- {
		if doc := line(fields[j].Doc.Text()); doc != "" {
			if head, _, _ := strings.Cut(doc, " are "); j == i || strings.Contains(head, name) {
				return plain(strings.TrimPrefix(doc, name+" is "))
			}
			break
		}
	}
	if fields[i].Comment != nil {
		return plain(fields[i].Comment.Text())
	}
	if below == "" {
		return ""
	}
	return plain(s.types[below].doc)
}

// plain is a comment of the code for readers of YAML.
func plain(doc string) string {
	text := strings.NewReplacer("the zero value's meaning", "when empty", "when nil", "when absent", "[", "", "]", "").Replace(cell(doc))
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// words are the types of Go and of package registry that a file has as something plainer.
var words = map[string]string{
	"string": "text", "bool": "true or false", "int": "whole number", "int64": "whole number", "float64": "number",
	"Arg": "text, number, or true for a bare flag", "EnvVar": "text, or {secret: NAME, key: KEY}", "Resources": "map to quantity, by name: cpu, memory",
	"Duration": "length of time: 90s, 20m, 24h", "Moment": "time: 2026-03-31T23:59:00Z", "Wave": "whole number, or percentage: 10%",
	"Quantity": "quantity: 50Gi", "Hyperparameter": "text, number, true or false",
}

// typeOf is a type in words, and the struct whose fields are below it, or "".
func (s *source) typeOf(e ast.Expr) (text, below string) {
	switch e := e.(type) {
	case *ast.StarExpr:
		return s.typeOf(e.X)
	case *ast.ArrayType:
		inner, below := s.typeOf(e.Elt)
		return "list of " + inner, below
	case *ast.MapType:
		inner, below := s.typeOf(e.Value)
		return "map to " + inner, below
	case *ast.Ident:
		if word, ok := words[e.Name]; ok {
			return word, ""
		}
		if typ := s.types[e.Name]; typ != nil && !typ.own {
			if _, ok := typ.expr.(*ast.StructType); ok {
				return "object", e.Name
			}
		}
		panic("no word for type " + e.Name)
	}
	panic(fmt.Sprintf("no word for %T", e))
}
