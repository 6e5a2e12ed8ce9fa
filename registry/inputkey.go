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
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// BlobHasher is a file system that knows its files' git blob ids without reading them.
type BlobHasher interface {
	BlobHash(name string) (string, error)
}

// InputKey is a hash over everything the release's objects are made of: the path and blob of each file its
// rendering may open, or that it is absent, the ModelVersion's content, and the versions given (of the
// image layout and of the renderer). Equal keys mean equal objects; fsys is the tree r was loaded from.
// Of shared folders the digest is taken that was made when they were read: with a [BlobHasher] a key costs
// about 10 µs.
func (r *Release) InputKey(fsys fs.FS, versions ...string) (string, error) {
	var b []byte
	for _, v := range versions {
		b = appendLine(b, "version", v)
	}
	shared := []digest{r.tree.digest, r.Environment.digest, r.Runtime.digest}
	if r.Accelerator != nil {
		shared = append(shared, r.Accelerator.digest)
	}
	for _, d := range shared {
		if d.err != nil {
			return "", d.err
		}
		b = append(append(b, d.sum...), '\n')
	}
	paths, err := r.ownInputs(fsys)
	if err != nil {
		return "", err
	}
	if b, err = appendBlobs(b, fsys, paths); err != nil {
		return "", err
	}
	b = appendLine(b, "images", r.Images)
	v := r.ModelVersion.Spec
	b = appendLine(b, "model", fmt.Sprint(v.Format, "\n", v.Architecture, "\n", v.Parameters, "\n", v.Precision, "\n", v.Quantization))
	for _, f := range v.Files {
		b = appendLine(b, "file", f.Path)
		b = append(strconv.AppendInt(append(b, f.SHA256...), f.Size, 10), '\n')
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

func appendLine(b []byte, word, text string) []byte {
	return append(strconv.AppendQuote(append(append(b, word...), ' '), text), '\n')
}

func appendBlobs(b []byte, fsys fs.FS, paths []string) ([]byte, error) {
	for _, p := range paths {
		blob, err := blobHash(fsys, p)
		if err != nil {
			return nil, fmt.Errorf("hashing %s: %w", p, err)
		}
		b = appendLine(b, blob, p)
	}
	return b, nil
}

// Owns says whether a path is one of the release's own files: a change to one, even one without effect,
// ends a hold. Files shared with other releases (runtime, environment, accelerator) are not.
func (r *Release) Owns(name string) bool {
	if strings.HasSuffix(name, "/") { // all of a folder, in which one of them may have changed
		return strings.HasPrefix(r.ModelVersion.Path, name) || strings.HasPrefix(r.Dir+"/", name) || strings.HasPrefix(name, r.Dir+"/")
	}
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

// ownInputs lists the files a rendering may open and that no shared digest covers, in order, each once.
func (r *Release) ownInputs(fsys fs.FS) ([]string, error) {
	paths := []string{r.Path, r.ServingPath, r.ModelVersion.Path,
		// Absent now, of effect when it appears.
		path.Join(r.Dir, "kustomization.yaml"), path.Join(r.Dir, r.Environment.Name, "kustomization.yaml")}
	own, err := r.ComponentFiles(fsys)
	if err != nil {
		return nil, err
	}
	paths = append(paths, own...)
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

// maxBelow bounds what is listed of a folder: rendering refuses one that holds more.
const maxBelow = 5000

// filesBelow lists the files of a folder, at any depth. Of one that holds more than maxBelow files and folders it lists
// the first ones, and the folder itself.
func filesBelow(fsys fs.FS, dir string) (paths []string, err error) {
	seen := 0
	err = fs.WalkDir(fsys, dir, func(name string, e fs.DirEntry, err error) error {
		if seen++; seen > maxBelow {
			paths = append(paths, dir)
			return fs.SkipAll
		}
		if errors.Is(err, fs.ErrInvalid) { // so is a folder that is malformed
			paths = append(paths, name)
			return nil
		}
		if err == nil && e.Type()&(fs.ModeDir|fs.ModeIrregular) == 0 {
			paths = append(paths, name)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", dir, err)
	}
	return paths, nil
}

// foreign says whether a file below the release's folder belongs to another environment.
func (r *Release) foreign(name string) bool {
	below, ok := strings.CutPrefix(name, r.Dir+"/")
	if !ok {
		return false
	}
	env, _, folder := strings.Cut(below, "/")
	if !folder {
		env, ok = strings.CutSuffix(below, ".yaml")
	}
	return ok && env != r.Environment.Name && slices.Contains(r.tree.environments, env)
}

// digest is a hash over files that many releases share, or why it can't be made.
type digest struct {
	sum string
	err error
}

// digest covers files, or their absence, and whole folders, less what is an environment's own file; "" stands for nothing.
func (rd *reader) digest(paths ...string) digest {
	var all []string
	for _, p := range paths {
		switch {
		case p == "":
		case !rd.isDir(p):
			all = append(all, p)
		default:
			below, err := filesBelow(rd.fsys, p)
			if err != nil {
				return digest{err: err}
			}
			all = append(all, below...)
		}
	}
	slices.Sort(all)
	all = slices.DeleteFunc(all, func(name string) bool {
		return path.Base(name) == "environment.yaml" && strings.HasPrefix(name, "environments/")
	})
	b, err := appendBlobs(nil, rd.fsys, slices.Compact(all))
	if err != nil {
		return digest{err: err}
	}
	sum := sha256.Sum256(b)
	return digest{sum: hex.EncodeToString(sum[:])}
}

// policies are the fields of an environment that no object of a release is made of: who edits one rolls nothing.
var policies = []string{"promote", "gates", "roles", "freeze", "quota", "autoMerge", "rollback", "bake", "prune", "fleet", "drift", "publisher"}

// rendered is what objects are made of in an environment's file.
func rendered(doc *document) []byte {
	text, err := yaml.Marshal(without(doc.spec, policies...))
	if err != nil {
		return []byte(err.Error()) // a node that was parsed can be written
	}
	return text
}

// and covers some text too.
func (d digest) and(text []byte) digest {
	if d.err != nil {
		return d
	}
	sum := sha256.Sum256(append([]byte(d.sum), text...))
	return digest{sum: hex.EncodeToString(sum[:])}
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
