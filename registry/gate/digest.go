package gate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/davit-dev/davit/registry"
)

// Digest is what an approval is bound to: a hash, 64 lower-case hex digits, over what a release will be at its version. It
// covers
//
//   - the release's environment and name, the model's name and the version's;
//   - what the ModelVersion says: files with their sha256 and size, format, metrics, datasets and lineage. Where a file's
//     bytes are fetched from is not in it: sha256 says which they are;
//   - the Serving with the Release and davit.yaml's defaults merged, as values, and in it the runtime as the release names it:
//     "vllm@0.12.1", or "vllm", which leaves the version to the environment;
//   - the files of the release's own Components, by path and blob, less the Serving and the Release file, whose values are in
//     it already;
//   - the version's evidence, each file by path and blob.
//
// It does not cover comments and the order of keys, the rule of promotion, the policies, and what is shared with other
// releases: the environment, the runtime's folder, the accelerator's. Nor anything of Git: an approval outlives squash
// merges, rebases and the merge of other work, and counts again when the same content comes back after a rollback.
//
// Only values that are set are hashed, by their names in YAML: versions of davit agree as long as they agree on those.
// fsys is the tree r was loaded from. Errors are those of reading it.
func Digest(fsys fs.FS, r *registry.Release) (string, error) {
	var b []byte
	add := func(words ...string) {
		for i, w := range words {
			if i > 0 {
				b = append(b, ' ')
			}
			b = strconv.AppendQuoteToASCII(b, w)
		}
		b = append(b, '\n')
	}
	version := r.ModelVersion.Spec
	version.Files = slices.Clone(version.Files)
	for i := range version.Files {
		version.Files[i].Source = ""
	}
	about, err := json.Marshal([]any{plainly(reflect.ValueOf(version)), plainly(reflect.ValueOf(r.Serving))})
	if err != nil {
		return "", fmt.Errorf("hashing %s: %w", r.Key(), err)
	}
	add("davit approval digest 1", r.Key().String(), r.ModelVersion.String(), string(about))
	components, err := r.ComponentFiles(fsys)
	if err != nil {
		return "", err
	}
	components = slices.DeleteFunc(components, func(name string) bool { return name == r.Path || name == r.ServingPath })
	evidence, err := EvidenceFiles(fsys, r)
	if err != nil {
		return "", err
	}
	for _, name := range slices.Concat(components, evidence) {
		blob, err := registry.BlobHash(fsys, name)
		if err != nil {
			return "", fmt.Errorf("hashing %s: %w", name, err)
		}
		add(name, blob)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// plainly is a value as JSON has it, with only what is set. A pointer to 0 is set, and so is what a list or a map holds.
func plainly(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return plainly(v.Elem())
	case reflect.Struct:
		return fields(v)
	case reflect.Map:
		out := map[string]any{}
		for key, value := range v.Seq2() {
			out[key.String()] = plainly(value)
		}
		return out
	case reflect.Slice:
		out := []any{}
		for _, value := range v.Seq2() {
			out = append(out, plainly(value))
		}
		return out
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	}
	return v.Interface()
}

func fields(v reflect.Value) map[string]any {
	out := map[string]any{}
	for field, value := range v.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if name == "" {
			name = field.Name
		}
		plain := plainly(value)
		inner := reflect.ValueOf(plain)
		hollow := (value.Kind() == reflect.Map || value.Kind() == reflect.Slice || value.Kind() == reflect.Struct) && inner.Len() == 0
		if !value.IsZero() && !hollow {
			out[name] = plain
		}
	}
	return out
}
