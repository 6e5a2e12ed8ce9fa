package render

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/resid"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/davit-dev/davit/registry"
)

// maxNesting bounds a document's depth: Kustomize walks it by recursion.
const maxNesting = 100

// maxCopies is how many times the patches and replacements of a release may copy a node.
const maxCopies = 16

// parse reads the documents of a file without expanding anything. first is the line the data begins in.
func parse(name string, first int, data []byte) (docs []*yaml.Node, err error) {
	if n := registry.Marks(data); n > registry.MaxMarks {
		return nil, fmt.Errorf("%s:%d: %d commas, colons, dashes, brackets and lines, of which at most %d are read; let a configMapGenerator take what is data", name, first, n, registry.MaxMarks)
	}
	in := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := in.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: not YAML: %w", name, first, err)
		}
		shift(&doc, first-1)
		if err := plain(name, &doc, 0); err != nil {
			return nil, err
		}
		docs = append(docs, doc.Content...)
	}
}

func shift(n *yaml.Node, by int) {
	if by == 0 {
		return
	}
	n.Line += by
	for _, c := range n.Content {
		shift(c, by)
	}
}

// plain refuses what YAML can hide or multiply, and what makes Kustomize run or drop an object.
func plain(name string, n *yaml.Node, depth int) error {
	if depth > maxNesting {
		return fmt.Errorf("%s:%d: nested more than %d deep; flatten it", name, n.Line, maxNesting)
	}
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return fmt.Errorf("%s:%d: anchors and aliases are refused; write the value out", name, n.Line)
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			switch c.Value {
			case "config.kubernetes.io/function", "config.k8s.io/function":
				return fmt.Errorf("%s:%d: annotation %s is refused; functions do not run here", name, c.Line, c.Value)
			case "config.kubernetes.io/local-config":
				return fmt.Errorf("%s:%d: annotation %s is refused; remove the object from resources instead", name, c.Line, c.Value)
			}
		}
		if err := plain(name, c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// survey is what all layers of a release hold, as far as it matters to one another.
type survey struct {
	foreign     []resid.Gvk // kinds Kustomize has no schema for
	merges      []merge
	overwritten []overwriting
	copied      int
	inClear     []string // secrets, by path:line
}

// merge is a strategic merge patch with a target.
type merge struct {
	place  string
	target *types.Selector
}

// resource notes an object, and refuses one that no release may hold.
func (s *survey) resource(name string, doc *yaml.Node) error {
	meta := typeMeta(doc)
	if group, _, _ := strings.Cut(meta.APIVersion, "/"); group == "davit.dev" {
		return fmt.Errorf("%s:%d: kind %s is davit's own and no object of the release; remove the file from resources", name, doc.Line, meta.Kind)
	}
	if clusterScoped(meta) {
		return fmt.Errorf("%s:%d: kind %s is not namespaced; a release holds objects of its namespace only", name, lineOf(doc, meta.Kind), meta.Kind)
	}
	s.kind(meta)
	s.secrets(name, doc)
	return nil
}

// kind notes one that Kustomize has no schema for.
func (s *survey) kind(meta kyaml.TypeMeta) {
	if meta.Kind != "" && !hasSchema(meta) && meta.Kind != "List" {
		s.foreign = append(slices.Clip(s.foreign), gvk(meta))
	}
}

// holds says whether the layers have an object of a kind that Kustomize has no schema for.
func (s *survey) holds(kind string) bool {
	return slices.ContainsFunc(s.foreign, func(g resid.Gvk) bool { return g.Kind == kind })
}

// patch refuses a strategic merge patch on a kind that Kustomize has no schema for: it would replace lists
// where it should merge them, and drop fields, in silence.
func (s *survey) patch(name string, doc *yaml.Node, target *types.Selector) error {
	s.overwrites(name, doc)
	s.secrets(name, doc)
	if doc.Kind == yaml.SequenceNode { // JSON6902
		s.secretOperations(name, doc, target)
		return s.copies(name, doc.Line, operationsOf(doc, "copy"))
	}
	meta := typeMeta(doc)
	if !hasSchema(meta) {
		return fmt.Errorf("%s:%d: a strategic merge patch on %s %s would lose fields in silence; write it as a list of JSON6902 operations",
			name, doc.Line, meta.APIVersion, meta.Kind)
	}
	if target != nil {
		s.merges = append(s.merges, merge{fmt.Sprintf("%s:%d", name, doc.Line), target})
	}
	return nil
}

// copies bounds what patches and replacements may multiply.
func (s *survey) copies(name string, line, n int) error {
	if s.copied += n; s.copied > maxCopies {
		return fmt.Errorf("%s:%d: more than %d copies by patches and replacements; write the values out", name, line, maxCopies)
	}
	return nil
}

// check refuses merge patches whose target takes in a kind without schema: the target decides, not the
// kind that the patch gives itself.
func (s *survey) check() error {
	for _, m := range s.merges {
		target, err := types.NewSelectorRegex(m.target)
		if err != nil {
			return fmt.Errorf("%s: patch target: %w", m.place, err)
		}
		for _, g := range s.foreign {
			if target.MatchGvk(g) {
				return fmt.Errorf("%s: the target of this strategic merge patch takes in %s %s, which would lose fields in silence; give the target group, version and kind",
					m.place, g.ApiVersion(), g.Kind)
			}
		}
	}
	return nil
}

// clusterScoped says whether Kustomize knows the kind as one without namespace.
func clusterScoped(meta kyaml.TypeMeta) bool {
	schema.RLock()
	defer schema.RUnlock()
	namespaced, known := openapi.IsNamespaceScoped(meta)
	return known && !namespaced
}

func hasSchema(meta kyaml.TypeMeta) bool {
	schema.RLock()
	defer schema.RUnlock()
	return openapi.SchemaForResourceType(meta) != nil
}

func gvk(meta kyaml.TypeMeta) resid.Gvk {
	group, version := resid.ParseGroupVersion(meta.APIVersion)
	return resid.NewGvk(group, version, meta.Kind)
}

func typeMeta(doc *yaml.Node) (meta kyaml.TypeMeta) {
	if doc.Kind != yaml.MappingNode {
		return meta
	}
	for i := 0; i+1 < len(doc.Content); i += 2 {
		switch doc.Content[i].Value {
		case "apiVersion":
			meta.APIVersion = doc.Content[i+1].Value
		case "kind":
			meta.Kind = doc.Content[i+1].Value
		}
	}
	return meta
}

// operationsOf counts the operations of a JSON6902 patch with that op.
func operationsOf(doc *yaml.Node, op string) (n int) {
	for _, e := range doc.Content {
		for i := 0; i+1 < len(e.Content); i += 2 {
			if e.Content[i].Value == "op" && e.Content[i+1].Value == op {
				n++
			}
		}
	}
	return n
}

// entries is how many entries the lists of a mapping key, in any case, have below n.
func entries(n *yaml.Node, key string) (found int) {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && strings.EqualFold(n.Content[i-1].Value, key) {
			found += len(c.Content)
		}
		found += entries(c, key)
	}
	return found
}

// lineOf is the line of the first scalar with that text, or of n. A block scalar's text begins in the line
// after its indicator.
func lineOf(n *yaml.Node, text string) int {
	if at := scalar(n, text); at != nil {
		if at.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			return at.Line + 1
		}
		return at.Line
	}
	return max(n.Line, 1)
}

func scalar(n *yaml.Node, text string) *yaml.Node {
	if n.Kind == yaml.ScalarNode && n.Value == text {
		return n
	}
	for _, c := range n.Content {
		if found := scalar(c, text); found != nil {
			return found
		}
	}
	return nil
}
