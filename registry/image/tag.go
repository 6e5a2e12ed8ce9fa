package image

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	modelpack "github.com/modelpack/model-spec/specs-go/v1"

	"github.com/davit-dev/davit/registry"
)

// LayoutVersion is the version of the image's layout. It is part of every tag, so images of another layout
// are built beside the old ones and never in their place.
const LayoutVersion = 1

// Placeholder is the reference that stands for an image that is not built yet, in plans made offline:
// repository@sha256: and 64 zeros. It is never applied.
func Placeholder(repository string) string {
	return repository + "@sha256:" + strings.Repeat("0", sha256.Size*2)
}

// Tag is the immutable tag of v's image: a pure function of the layout's version, the format, what is known of the
// model, and each file's path, sha256 and size. The order of the files and their sources do not matter.
func Tag(v *registry.ModelVersion) string {
	about := v.Spec.Format
	if k := knowledge(v); k != (modelpack.ModelConfig{Format: k.Format}) {
		about = strings.Join([]string{k.Format, k.Architecture, k.ParamSize, k.Precision, k.Quantization}, "\x00")
	}
	return fmt.Sprintf("v%d-%s", LayoutVersion, contentKey(about, sortedFiles(v)...))
}

// layerKey names a file's layer before the layer's digest is known, by what the layer is made from.
func layerKey(f registry.File) string {
	return fmt.Sprintf("v%d-%s", LayoutVersion, contentKey("", f))
}

func contentKey(format string, files ...registry.File) string {
	h := sha256.New()
	enc := json.NewEncoder(h) // quotes, so no two lists give the same bytes
	enc.Encode(format)
	for _, f := range files {
		enc.Encode([]any{f.Path, f.SHA256, f.Size})
	}
	return hex.EncodeToString(h.Sum(nil))
}

func sortedFiles(v *registry.ModelVersion) []registry.File {
	return slices.SortedFunc(slices.Values(v.Spec.Files), func(a, b registry.File) int {
		return strings.Compare(a.Path, b.Path)
	})
}
