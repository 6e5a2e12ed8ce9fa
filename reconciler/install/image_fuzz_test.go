package install

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
)

// FuzzImage holds the image that is to be installed against go-containerregistry's reader.
func FuzzImage(f *testing.F) {
	for _, text := range []string{"registry.example.com/davit:v1", "localhost:5000/a/b@sha256:" + "0000000000000000000000000000000000000000000000000000000000000000", "davit", "a:b:c", "A/b:c", "registry.example.com/" + strings.Repeat("8", 300) + "/davit:v1", "a/b:c", strings.Repeat("8", 250) + ":v1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		image, err := parseImage(text)
		if err != nil {
			return
		}
		written := image.NewName + ":" + image.NewTag
		if image.Digest != "" {
			written = image.NewName + "@" + image.Digest
		}
		ref, err := name.ParseReference(written)
		if err != nil {
			t.Fatalf("%q is %q: %v", text, written, err)
		}
		given, err := name.ParseReference(text)
		if err != nil || given.Context() != ref.Context() || image.Digest != "" && given.Identifier() != image.Digest || image.Digest == "" && given.Identifier() != image.NewTag {
			t.Errorf("%q is %+v, %v", text, image, err)
		}
	})
}
