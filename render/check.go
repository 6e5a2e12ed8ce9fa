package render

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"
)

// Bounds of one layer. Kustomize takes no context and an overflowing stack can't be recovered, so that what
// goes in is bounded.
const (
	maxLayerFiles = 200
	maxLayerFile  = 1 << 20
	maxLayerDepth = 10
)

// copyLayer checks a folder of the repository and copies it into the tree.
func copyLayer(fsys fs.FS, from, to string, tree map[string][]byte, skip ...string) error {
	files := 0
	return fs.WalkDir(fsys, from, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("reading %s: %w", name, err)
		case slices.Contains(skip, name):
			return fs.SkipDir
		case e.IsDir() && strings.Count(strings.TrimPrefix(name, from), "/") > maxLayerDepth:
			return fmt.Errorf("%s:1: nested deeper than %d folders", name, maxLayerDepth)
		case e.IsDir():
			return nil
		case !e.Type().IsRegular():
			return fmt.Errorf("%s:1: symlinks and submodules are not followed; put a file there", name)
		}
		if files++; files > maxLayerFiles {
			return fmt.Errorf("%s:1: more than %d files in one layer", from, maxLayerFiles)
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		if len(data) > maxLayerFile {
			return fmt.Errorf("%s:1: file is %d bytes; a layer's files have at most %d", name, len(data), maxLayerFile)
		}
		if err := checkFile(fsys, from, name, data); err != nil {
			return err
		}
		tree[path.Join(to, strings.TrimPrefix(name, from))] = data
		return nil
	})
}

func checkFile(fsys fs.FS, layer, name string, data []byte) error {
	switch base := path.Base(name); {
	case base == "kustomization.yaml":
		return checkKustomization(fsys, layer, name, data)
	case base == "kustomization.yml" || base == "Kustomization":
		return fmt.Errorf("%s:1: write kustomization.yaml; other names are not read", name)
	case path.Ext(base) != ".yaml" && path.Ext(base) != ".yml":
		return nil
	}
	for _, mark := range []string{"config.kubernetes.io/function", "config.k8s.io/function", "config.kubernetes.io/local-config"} {
		if line := lineOf(data, mark); line > 0 {
			return fmt.Errorf("%s:%d: annotation %s is refused; functions do not run here", name, line, mark)
		}
	}
	if line := anchorLine(data); line > 0 {
		return fmt.Errorf("%s:%d: anchors and aliases are refused; write the value out", name, line)
	}
	return nil
}

// checkKustomization refuses what reaches outside the layer or runs something.
func checkKustomization(fsys fs.FS, layer, name string, data []byte) error {
	at := func(needle, format string, args ...any) error {
		return fmt.Errorf("%s:%d: %s", name, max(lineOf(data, needle), 1), fmt.Sprintf(format, args...))
	}
	if line := anchorLine(data); line > 0 {
		return fmt.Errorf("%s:%d: anchors and aliases are refused; write the value out", name, line)
	}
	var fields map[string]any
	if err := yaml.Unmarshal(data, &fields); err != nil {
		return fmt.Errorf("%s:1: not a kustomization: %w", name, err)
	}
	for field, instead := range refusedFields {
		if _, used := fields[field]; used {
			return at(field+":", "%s is refused here; %s", field, instead)
		}
	}
	var k types.Kustomization
	if err := yaml.UnmarshalStrict(data, &k); err != nil {
		return fmt.Errorf("%s:1: not a kustomization: %w", name, err)
	}
	references := slices.Concat(k.Resources, k.Components)
	for _, p := range k.Patches {
		if p.Path != "" {
			references = append(references, p.Path)
		}
	}
	for _, r := range k.Replacements {
		if r.Path != "" {
			references = append(references, r.Path)
		}
	}
	for _, sources := range kvSources(&k) {
		for _, f := range slices.Concat(sources.FileSources, sources.EnvSources) {
			if _, file, ok := strings.Cut(f, "="); ok {
				f = file
			}
			references = append(references, f)
		}
		if sources.EnvSource != "" {
			references = append(references, sources.EnvSource)
		}
	}
	for _, ref := range references {
		if err := checkReference(fsys, layer, path.Dir(name), ref); err != nil {
			return at(ref, "%v", err)
		}
	}
	for _, p := range k.Patches {
		if err := checkPatch(fsys, path.Dir(name), p); err != nil {
			return at(firstLine(p), "%v", err)
		}
	}
	return nil
}

// refusedFields of a kustomization: each with what to do instead.
var refusedFields = map[string]string{
	"openapi": plain, "helmCharts": plain, "helmGlobals": plain, "helmChartInflationGenerator": plain, "crds": plain,
	"generators": plain, "transformers": plain, "validators": plain, "configurations": plain,
	"namespace": "the environment's namespace holds", "vars": "write replacements", "bases": "write resources",
	"patchesStrategicMerge": "write patches", "patchesJson6902": "write patches",
}

const plain = "it changes how other releases are built, or runs something; write plain resources and patches"

func kvSources(k *types.Kustomization) (out []types.KvPairSources) {
	for _, g := range k.ConfigMapGenerator {
		out = append(out, g.KvPairSources)
	}
	for _, g := range k.SecretGenerator {
		out = append(out, g.KvPairSources)
	}
	return out
}

// checkReference wants a relative path to something within the layer. Kustomize takes much else for a remote
// repository, so nothing but an existing file or folder passes.
func checkReference(fsys fs.FS, layer, dir, ref string) error {
	outside := fmt.Errorf("%q is not a file or folder below %s; copy it into the repository there", ref, layer)
	if strings.Contains(ref, "\n") || path.IsAbs(ref) || strings.ContainsAny(ref, "?\\") || strings.Contains(ref, ":") || strings.Contains(ref, "//") {
		return outside
	}
	full := path.Join(dir, ref)
	if full != layer && !strings.HasPrefix(full, layer+"/") {
		return outside
	}
	info, err := fs.Stat(fsys, full)
	if errors.Is(err, fs.ErrNotExist) {
		return outside
	}
	if err == nil && info.IsDir() {
		if _, err := fs.Stat(fsys, path.Join(full, "kustomization.yaml")); err != nil {
			return fmt.Errorf("folder %q holds no kustomization.yaml", ref)
		}
	}
	return err
}

// checkPatch refuses a strategic merge patch on a kind that Kustomize has no schema for: it would replace
// lists where it should merge them, in silence.
func checkPatch(fsys fs.FS, dir string, p types.Patch) error {
	data := []byte(p.Patch)
	if p.Path != "" {
		var err error
		if data, err = fs.ReadFile(fsys, path.Join(dir, p.Path)); err != nil {
			return err
		}
	}
	var list []any
	if yaml.Unmarshal(data, &list) == nil {
		return nil // JSON6902
	}
	var o struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := yaml.Unmarshal(data, &o); err != nil {
		return fmt.Errorf("not a patch: %w", err)
	}
	if o.Kind != "" && openapi.SchemaForResourceType(typeMeta(o.APIVersion, o.Kind)) == nil {
		return fmt.Errorf("a strategic merge patch on %s %s would lose fields in silence; write it as a list of JSON6902 operations", o.APIVersion, o.Kind)
	}
	return nil
}

func typeMeta(apiVersion, kind string) kyaml.TypeMeta {
	return kyaml.TypeMeta{APIVersion: apiVersion, Kind: kind}
}

func isNamespaced(apiVersion, kind string) (namespaced, known bool) {
	return openapi.IsNamespaceScoped(typeMeta(apiVersion, kind))
}

func firstLine(p types.Patch) string {
	if p.Path != "" {
		return p.Path
	}
	line, _, _ := strings.Cut(p.Patch, "\n")
	return line
}

// lineOf is the 1-based line that needle is first in, or 0.
func lineOf(data []byte, needle string) int {
	i := bytes.Index(data, []byte(needle))
	if i < 0 || needle == "" {
		return 0
	}
	return 1 + bytes.Count(data[:i], []byte("\n"))
}

// anchorLine is the line of the first YAML anchor or alias, or 0.
func anchorLine(data []byte) int {
	for i, line := range bytes.Split(data, []byte("\n")) {
		_, value, ok := bytes.Cut(line, []byte(": "))
		if !ok {
			value = bytes.TrimLeft(line, " -")
		}
		value = bytes.TrimLeft(value, " -")
		if len(value) > 1 && (value[0] == '&' || value[0] == '*') && value[1] != ' ' {
			return i + 1
		}
	}
	return 0
}
