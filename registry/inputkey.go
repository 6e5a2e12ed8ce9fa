package registry

import (
	"crypto/sha1" // git's blob ids; the key itself is SHA-256
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// BlobHasher is a file system that knows its files' git blob ids without reading them.
type BlobHasher interface {
	BlobHash(name string) (string, error)
}

// InputKey is a hash over everything the release's objects are made of: the path and blob of each file its
// rendering may open, or that it is absent, the ModelVersion's content, and the versions given (of the
// image layout and of the renderer). Equal keys mean equal objects; fsys is the tree r was loaded from.
func (r *Release) InputKey(fsys fs.FS, versions ...string) (string, error) {
	h := sha256.New()
	for _, v := range versions {
		fmt.Fprintf(h, "version %q\n", v)
	}
	paths, err := r.inputs(fsys)
	if err != nil {
		return "", err
	}
	for _, p := range paths {
		blob, err := blobHash(fsys, p)
		if err != nil {
			return "", fmt.Errorf("hashing %s: %w", p, err)
		}
		fmt.Fprintf(h, "%q %s\n", p, blob)
	}
	fmt.Fprintf(h, "images %q\n", r.Images)
	for _, f := range r.ModelVersion.Spec.Files {
		fmt.Fprintf(h, "file %q %s %d\n", f.Path, f.SHA256, f.Size)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Owns says whether a path is one of the release's own files: a change to one, even one without effect,
// ends a hold. Files shared with other releases (runtime, environment, accelerator) are not.
func (r *Release) Owns(name string) bool {
	if name == r.ModelVersion.Path {
		return true
	}
	below, ok := strings.CutPrefix(name, r.Dir+"/")
	return ok && !r.foreign(name) && (name == r.Path || name == r.ServingPath || below == "kustomization.yaml" ||
		strings.HasPrefix(below, r.Environment.Name+"/") || len(r.Components) > 0)
}

// Opens says whether the release's rendering may open a path; so a commit that changes it may change the release.
func (r *Release) Opens(name string) bool {
	dirs := []string{r.Runtime.Dir, r.Environment.Component}
	if r.Accelerator != nil {
		dirs = append(dirs, r.Accelerator.Dir)
	}
	// A component that is gone, and a model.yaml that was faulty, change the release too.
	component := path.Join(path.Dir(r.Environment.Path), "kustomization.yaml")
	return r.Owns(name) || slices.Contains([]string{"davit.yaml", r.Environment.Path, component, r.Model.Path}, name) ||
		slices.ContainsFunc(dirs, func(dir string) bool { return dir != "" && strings.HasPrefix(name, dir+"/") })
}

// inputs lists the files a rendering may open, in order, each once.
func (r *Release) inputs(fsys fs.FS) ([]string, error) {
	paths := []string{"davit.yaml", r.Environment.Path, r.Path, r.ServingPath, r.ModelVersion.Path}
	dirs := []string{r.Runtime.Dir, r.Environment.Component}
	if r.Accelerator != nil {
		dirs = append(dirs, r.Accelerator.Dir)
	}
	for _, dir := range append(dirs, r.Components...) {
		if dir == "" {
			continue
		}
		err := fs.WalkDir(fsys, dir, func(name string, e fs.DirEntry, err error) error {
			if err == nil && e.Type()&(fs.ModeDir|fs.ModeIrregular) == 0 && !r.foreign(name) {
				paths = append(paths, name)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", dir, err)
		}
	}
	// Absent now, of effect when it appears.
	for _, dir := range []string{path.Dir(r.Environment.Path), r.Dir, path.Join(r.Dir, r.Environment.Name)} {
		paths = append(paths, path.Join(dir, "kustomization.yaml"))
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

// foreign says whether a file below the release's folder belongs to another environment.
func (r *Release) foreign(name string) bool {
	return slices.ContainsFunc(r.others, func(env string) bool {
		own := path.Join(r.Dir, env)
		return name == own+".yaml" || strings.HasPrefix(name, own+"/")
	})
}

// blobHash is a file's git blob id, or what stands in its place: "absent", or "folder" for anything that can't
// be read as a file, which rendering refuses.
func blobHash(fsys fs.FS, name string) (hash string, err error) {
	if b, ok := fsys.(BlobHasher); ok {
		hash, err = b.BlobHash(name)
	} else {
		hash, err = readHash(fsys, name)
	}
	if err == nil {
		return hash, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "absent", nil
	}
	if info, statErr := fs.Stat(fsys, name); statErr == nil && !info.Mode().IsRegular() {
		return "folder", nil
	}
	return "", err
}

func readHash(fsys fs.FS, name string) (string, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return "", err
	}
	h := sha1.New() // git's own
	fmt.Fprintf(h, "blob %d\x00", len(data))
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil)), nil
}
