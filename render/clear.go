package render

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"
)

// inClearHint is what to do about a secret in Git.
const inClearHint = "which Git keeps for ever: replace it where it is used, and encrypt the file (sops encrypt -i --encrypted-regex '^(data|stringData)$' FILE) or have an ExternalSecret or a SealedSecret make it"

// secrets notes values of Secrets that are in the repository in clear, and what SOPS encrypted where nothing decrypts it.
func (s *survey) secrets(name string, doc *yaml.Node) {
	meta := typeMeta(doc)
	sops := member(doc, "sops")
	switch {
	case meta.Kind == "Secret":
		for _, field := range []string{"data", "stringData"} {
			s.secretValues(name, doc, field, sops != nil)
		}
	case sops != nil:
		s.exposed(name, sops.Line, "%s is encrypted by SOPS, and only data and stringData of Secrets are decrypted; encrypt those alone (--encrypted-regex '^(data|stringData)$')", cmpKind(meta.Kind))
	case strings.HasSuffix(meta.Kind, "List"):
		if items := member(doc, "items"); items != nil {
			for _, item := range items.Content {
				s.secrets(name, item)
			}
		}
	}
}

func cmpKind(kind string) string {
	if kind == "" || strings.HasPrefix(kind, encrypted) {
		return "the whole object"
	}
	return "kind " + kind
}

// encrypted is how each value begins that SOPS encrypted.
const encrypted = "ENC[AES256_GCM,"

func (s *survey) secretValues(name string, doc *yaml.Node, field string, sops bool) {
	under := member(doc, field)
	if under == nil || under.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(under.Content); i += 2 {
		key, v := under.Content[i], under.Content[i+1]
		switch cipher := strings.HasPrefix(v.Value, encrypted); {
		case v.Value == "" || cipher && sops: // SOPS leaves empty ones as they are
		case cipher:
			s.exposed(name, key.Line, "%s.%s is encrypted, and the file lacks SOPS' field sops, which says for whom; encrypt the whole file anew", field, key.Value)
		default:
			s.exposed(name, key.Line, "%s.%s of a Secret is in clear, %s", field, key.Value, inClearHint)
		}
	}
}

// secretOperations are those of a JSON6902 patch on Secrets.
func (s *survey) secretOperations(name string, doc *yaml.Node, target *types.Selector) {
	if target == nil || target.Kind != "Secret" {
		return
	}
	for _, op := range doc.Content {
		at := value(op, "path")
		field, _, _ := strings.Cut(strings.TrimPrefix(at.Value, "/"), "/")
		if v := member(op, "value"); v != nil && (field == "data" || field == "stringData") && (v.Kind != yaml.ScalarNode || v.Value != "") {
			s.exposed(name, at.Line, "%s of a Secret is in clear in a patch, %s", strings.ReplaceAll(at.Value[1:], "/", "."), inClearHint)
		}
	}
}

func (s *survey) exposed(name string, line int, format string, args ...any) {
	s.inClear = append(s.inClear, fmt.Sprintf("%s:%d: %s", name, line, fmt.Sprintf(format, args...)))
}

// member is a field of a mapping, or nil.
func member(doc *yaml.Node, key string) *yaml.Node {
	for i := 0; doc.Kind == yaml.MappingNode && i+1 < len(doc.Content); i += 2 {
		if doc.Content[i].Value == key {
			return doc.Content[i+1]
		}
	}
	return nil
}

// generatedSecrets notes what a generator makes Secrets of: what it reads is in the repository too.
func (k *kustomizationFile) generatedSecrets() {
	for _, g := range k.spec.SecretGenerator {
		texts := append(append(append([]string{}, g.LiteralSources...), g.FileSources...), g.EnvSources...)
		if g.EnvSource != "" {
			texts = append(texts, g.EnvSource)
		}
		for _, text := range texts {
			k.content.exposed(k.name, lineOf(k.root, text), "secretGenerator %q makes a Secret of what is in clear, %s", g.Name, inClearHint)
		}
	}
}
