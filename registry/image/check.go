package image

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/davit-dev/davit/registry"
)

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

// check finds what can't become an image, before anything is read. Every fault is reported.
func check(v *registry.ModelVersion) error {
	n := len(v.Spec.Files)
	if n == 0 || n > MaxFiles {
		return &ContentError{Path: v.Path, Err: fmt.Errorf("%d files: an image holds 1 to %d", n, MaxFiles)}
	}
	var faults []error
	seen := map[string]bool{}
	for _, f := range v.Spec.Files {
		if err := checkFile(f, seen); err != nil {
			faults = append(faults, &ContentError{Path: v.Path, File: f.Path, Err: err})
		}
		seen[f.Path] = true
	}
	for _, f := range v.Spec.Files {
		for dir := path.Dir(f.Path); dir != "." && dir != "/"; dir = path.Dir(dir) {
			if seen[dir] {
				faults = append(faults, &ContentError{Path: v.Path, File: f.Path, Err: fmt.Errorf("%q is a file too; it can't be its folder", dir)})
			}
		}
	}
	return errors.Join(faults...)
}

func checkFile(f registry.File, seen map[string]bool) error {
	switch {
	case seen[f.Path]:
		return errors.New("is listed twice; remove one")
	case !sha256Hex.MatchString(f.SHA256):
		return fmt.Errorf("sha256 %q is not 64 lower-case hex digits; run davit add to write it anew", f.SHA256)
	case f.Size < 0:
		return fmt.Errorf("size %d is negative; run davit add to write it anew", f.Size)
	}
	return checkPath(f.Path)
}

// checkPath says what is wrong with the path of a file in the model.
func checkPath(name string) error {
	if !fs.ValidPath(name) || name == "." || strings.ContainsRune(name, '\\') {
		return errors.New("the path must be relative, with slashes and without \"..\"")
	}
	for _, r := range name {
		if r < 0x20 || r == 0x7f {
			return errors.New("the path has a control character")
		}
	}
	for dir := name; dir != "."; dir = path.Dir(dir) {
		// https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts
		if strings.HasPrefix(path.Base(dir), ".wh.") {
			return errors.New("names that begin with .wh. delete files in an OCI image; rename it")
		}
	}
	return nil
}
