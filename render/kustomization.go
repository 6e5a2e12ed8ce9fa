package render

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"
)

// kustomizationFile is one kustomization.yaml of the repository.
type kustomizationFile struct {
	*layer
	name, dir string
	root      *yaml.Node
	spec      types.Kustomization
}

// refusedFields can reach out of a release or out of the process, or are deprecated: Kustomize warns of
// those on stderr.
var refusedFields = map[string]string{
	"openapi":                     "it changes how every other release is built; write JSON6902 patches for kinds of your own",
	"helmcharts":                  "write what the chart renders into the repository",
	"helmglobals":                 "write what the chart renders into the repository",
	"helmchartinflationgenerator": "write what the chart renders into the repository",
	"generators":                  "plugins do not run here; write the objects as resources",
	"transformers":                "plugins do not run here; write patches",
	"validators":                  "plugins do not run here; remove them",
	"crds":                        "write JSON6902 patches for kinds of your own",
	"configurations":              "write replacements",
	"namespace":                   "the environment's namespace holds; remove it",
	"buildmetadata":               "objects carry nothing of how they were built; remove it",
	"sortoptions":                 "davit orders the objects; remove it",
	"vars":                        "write replacements",
	"bases":                       "write resources",
	"commonlabels":                "write labels",
	"imagetags":                   "write images",
	"patchesstrategicmerge":       "write patches",
	"patchesjson6902":             "write patches",
}

// refusedField compares without case, as Kustomize reads fields.
func (k *kustomizationFile) refusedField() error {
	for i := 0; i+1 < len(k.root.Content); i += 2 {
		field := k.root.Content[i]
		if why, ok := refusedFields[strings.ToLower(field.Value)]; ok {
			return fmt.Errorf("%s:%d: %s is refused; %s", k.name, field.Line, field.Value, why)
		}
	}
	return nil
}

func (k *kustomizationFile) check(depth int) error {
	for _, ref := range k.spec.Resources {
		if err := k.resource(ref, depth); err != nil {
			return err
		}
	}
	for _, ref := range k.spec.Components {
		dir, err := k.reference(ref)
		if err != nil {
			return err
		}
		if err := k.folder(dir, depth+1); err != nil {
			return err
		}
	}
	for _, p := range k.spec.Patches {
		if err := k.patch(p); err != nil {
			return err
		}
	}
	for _, r := range k.spec.Replacements {
		if err := k.replacement(r); err != nil {
			return err
		}
	}
	k.generatedSecrets()
	return k.generators()
}

func (k *kustomizationFile) resource(ref string, depth int) error {
	name, err := k.reference(ref)
	if err != nil {
		return err
	}
	if k.known[name].IsDir() {
		return k.folder(name, depth+1)
	}
	docs, err := k.documents(name)
	if err != nil {
		return err
	}
	for _, doc := range docs {
		if err := k.content.resource(name, doc); err != nil {
			return err
		}
	}
	return nil
}

// documents reads a YAML file that a kustomization names, whatever its extension.
func (k *kustomizationFile) documents(name string) ([]*yaml.Node, error) {
	data, err := k.read(name)
	if err != nil {
		return nil, err
	}
	return k.content.parse(name, 1, data)
}

func (k *kustomizationFile) patch(p types.Patch) error {
	place, docs, err := k.patchDocuments(p)
	if err != nil {
		return err
	}
	for _, doc := range docs {
		if err := k.content.patch(place, doc, p.Target); err != nil {
			return err
		}
	}
	return nil
}

func (k *kustomizationFile) patchDocuments(p types.Patch) (place string, docs []*yaml.Node, err error) {
	if p.Path != "" {
		name, err := k.reference(p.Path)
		if err != nil {
			return "", nil, err
		}
		docs, err = k.documents(name)
		return name, docs, err
	}
	docs, err = k.content.parse(k.name, lineOf(k.root, p.Patch), []byte(p.Patch))
	return k.name, docs, err
}

// replacement copies nodes, so that n of them can multiply an object 2^n times.
func (k *kustomizationFile) replacement(r types.ReplacementField) error {
	targets := 0
	for _, t := range r.Targets {
		targets += len(t.FieldPaths)
	}
	if r.Path != "" {
		name, err := k.reference(r.Path)
		if err != nil {
			return err
		}
		docs, err := k.documents(name)
		if err != nil {
			return err
		}
		for _, doc := range docs {
			targets += entries(doc, "fieldpaths")
		}
	}
	return k.content.copies(k.name, lineOf(k.root, "replacements"), targets)
}

func (k *kustomizationFile) generators() error {
	var sources []types.KvPairSources
	for _, g := range k.spec.ConfigMapGenerator {
		sources = append(sources, g.KvPairSources)
	}
	for _, g := range k.spec.SecretGenerator {
		sources = append(sources, g.KvPairSources)
	}
	for _, s := range sources {
		for _, ref := range s.FileSources {
			file := ref
			if _, after, ok := strings.Cut(ref, "="); ok {
				file = after
			}
			if err := k.data(ref, file); err != nil {
				return err
			}
		}
		envs := slices.Clone(s.EnvSources)
		if s.EnvSource != "" {
			envs = append(envs, s.EnvSource)
		}
		for _, ref := range envs {
			if err := k.data(ref, ref); err != nil {
				return err
			}
		}
	}
	return nil
}

// data is a generator's file, which is copied as it is.
func (k *kustomizationFile) data(text, ref string) error {
	name, err := k.referenceAt(text, ref)
	if err != nil {
		return err
	}
	_, err = k.read(name)
	return err
}

func (k *kustomizationFile) reference(ref string) (string, error) { return k.referenceAt(ref, ref) }

// referenceAt wants a relative path to something within the layer. Kustomize takes much else for a remote
// repository, even where a folder of that name exists, so nothing but an existing file, or a folder whose
// name can't be a host, passes. text is how the kustomization writes it.
func (k *kustomizationFile) referenceAt(text, ref string) (string, error) {
	name := path.Join(k.dir, ref)
	mode, known := k.known[name]
	line := lineOf(k.root, text)
	switch {
	case strings.ContainsAny(ref, ":?@") || strings.Contains(ref, "//") || strings.Contains(ref, "_git"), !(known && mode.IsRegular()) && hasHost(ref):
		return "", fmt.Errorf("%s:%d: remote resource %q; copy it into the repository", k.name, line, userinfo.ReplaceAllString(ref, "$1$2…@"))
	case path.IsAbs(ref), strings.ContainsAny(ref, "\n\\"), !known, !below(name, k.layer.dir):
		return "", fmt.Errorf("%s:%d: %q is not a file or folder below %s; copy it into the repository there", k.name, line, ref, k.layer.dir)
	case !mode.IsDir() && !mode.IsRegular():
		return "", fmt.Errorf("%s:1: symlinks and submodules are not followed; put a file there", name)
	}
	return name, nil
}

// userinfo is what a reference may hold of credentials: a token or a password before the host. Whoever reads the error need not be who
// reads the repository.
var userinfo = regexp.MustCompile(`(?i)(https?://)[^/?#]*@|(//[^/:@?#]*:)[^/?#]*@`)

// hasHost says whether a path's first folder could be a host: it has a dot that is not one of "." or "..".
func hasHost(ref string) bool {
	first, _, below := strings.Cut(path.Clean(ref), "/")
	return below && strings.Contains(strings.Trim(first, "."), ".")
}
