// Package examples_test holds the examples' registries to what davit and its catalog say of them.
package examples_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render"
)

// TestSound loads every example without a fault, renders all of its releases and trainings, and reads the models' files.
func TestSound(t *testing.T) {
	for _, dir := range registryFolders(t) {
		t.Run(dir, func(t *testing.T) {
			reg, err := registry.Load(os.DirFS(dir))
			if err != nil {
				t.Fatal(err)
			}
			for _, fault := range reg.Faults {
				t.Error(fault)
			}
			if len(reg.Releases)+len(reg.Trainings) == 0 {
				t.Error("there is no release, and no training")
			}
			var renderer render.Renderer
			for _, r := range reg.Releases {
				if _, err := renderer.Release(reg.FS(), r, image.Placeholder(r.Repository())); err != nil {
					t.Errorf("%s: %v", r.Key(), err)
				}
			}
			for _, tr := range reg.Trainings {
				base := ""
				if tr.BaseVersion != nil {
					base = image.Placeholder(tr.BaseRepository())
				}
				if _, err := render.Training(reg.FS(), tr, strings.Repeat("0", 64), base); err != nil {
					t.Errorf("%s: %v", tr.Key(), err)
				}
			}
			for _, m := range reg.Models {
				for _, v := range m.Versions {
					for _, f := range v.Spec.Files {
						content, err := fs.ReadFile(reg.FS(), f.Source)
						if sum := sha256.Sum256(content); err != nil || int64(len(content)) != f.Size || hex.EncodeToString(sum[:]) != f.SHA256 {
							t.Errorf("%s@%s: %s is not the file at %s: %v", m.Name, v.Name, f.Path, f.Source, err)
						}
					}
				}
			}
		})
	}
}
