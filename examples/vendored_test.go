package examples_test

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/davit-dev/davit/render/catalog"
)

// TestVendored holds the examples' copies of the catalog's runtimes and accelerators to it, byte for byte but for the
// line that names the image.
func TestVendored(t *testing.T) {
	copies := 0
	for _, dir := range registryFolders(t) {
		tree := os.DirFS(dir)
		runtimes, err := fs.Glob(tree, "runtimes/*/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, folder := range runtimes {
			if rt, err := catalog.FindRuntime(path.Base(path.Dir(folder))); err == nil { // others are the example's own
				sameFiles(t, tree, folder, rt.Files("", ""))
				copies++
			}
		}
		accelerators, err := fs.Glob(tree, "accelerators/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, folder := range accelerators {
			if a, err := catalog.FindAccelerator(path.Base(folder)); err == nil {
				sameFiles(t, tree, folder, a.Files())
				copies++
			}
		}
	}
	if copies < 12 {
		t.Errorf("only %d copies found", copies)
	}
}

// registryFolders are examples/*/registry.
func registryFolders(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("*/registry")
	if err != nil || len(dirs) < 4 {
		t.Fatalf("found %v: %v", dirs, err)
	}
	return dirs
}

var imageLine = regexp.MustCompile(`(?m)^  image: \S+@sha256:.*$`)

func sameFiles(t *testing.T, tree fs.FS, folder string, want map[string][]byte) {
	t.Helper()
	seen := 0
	err := fs.WalkDir(tree, folder, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		seen++
		got, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(name, folder+"/")
		original, ok := want[rel]
		if rel == "runtime.yaml" {
			got, original = imageLine.ReplaceAll(got, nil), imageLine.ReplaceAll(original, nil)
		}
		if !ok || !bytes.Equal(got, original) {
			t.Errorf("%s is not the catalog's; remove the folder and add it anew by davit runtime add or accelerator add", name)
		}
		return nil
	})
	if err != nil || seen != len(want) {
		t.Errorf("%s has %d files, the catalog %d: %v", folder, seen, len(want), err)
	}
}
