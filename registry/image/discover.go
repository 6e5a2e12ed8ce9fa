package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/davit-dev/davit/registry"
)

// Found is a file of a source, and what could be learnt of it.
type Found struct {
	registry.File
	Knowledge Knowledge

	inRoot bool  // it lies in the folder of an image that is the model's
	err    error // what is wrong with it, if it is kept
}

// Discover finds the files of a source that is not in the repository: the one at an http, s3, gs or azblob address, or all
// that keep says yes to below one that ends with a slash, in hf://organisation/repository@revision, or in
// oci://host/repository:tag. Revisions and tags become the commits and digests they stand for. Of files whose sha256 the
// source tells, only headers are read; the others are read once.
func (b *Builder) Discover(ctx context.Context, source string, keep func(path string) bool) ([]Found, error) {
	s := b.sources(nil, nil)
	switch scheme, _, _ := strings.Cut(source, "://"); scheme {
	case "hf":
		return s.discoverHub(ctx, source, keep)
	case "oci":
		return s.discoverOCI(ctx, source, keep)
	}
	files := []registry.File{{Path: lastName(source), Source: source, Size: -1}}
	if scheme, _, _ := strings.Cut(source, "://"); scheme == "s3" || scheme == "gs" || scheme == "azblob" {
		var err error
		if files, err = s.objects(ctx, source); err != nil {
			return nil, err
		}
	}
	return s.inspectAll(ctx, source, files, keep)
}

// inspectAll opens the files that keep says yes to; the only one in any case.
func (s sources) inspectAll(ctx context.Context, source string, files []registry.File, keep func(string) bool) (all []Found, err error) {
	for _, f := range files {
		if len(files) > 1 && !keep(f.Path) {
			continue
		}
		r, err := s.open(ctx, f)
		if err != nil {
			return nil, err
		}
		found, err := inspect(f, r)
		if err != nil {
			return nil, err
		}
		all = append(all, found)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no file that is asked for (of %d)", redact(source), len(files))
	}
	return all, nil
}

// inspect reads a file to the end, or only its header when its sha256 is known. It closes r.
func inspect(f registry.File, r io.ReadCloser) (Found, error) {
	if f.SHA256 != "" {
		k, err := Peek(f.Path, f.Size, r)
		return Found{File: f, Knowledge: k}, errors.Join(err, r.Close())
	}
	seen, err := Inspect(f.Path, r)
	f.SHA256, f.Size = seen.SHA256, seen.Size
	return Found{File: f, Knowledge: seen.Knowledge}, errors.Join(err, r.Close())
}

func (s sources) discoverHub(ctx context.Context, source string, keep func(string) bool) ([]Found, error) {
	p, err := parseHub(source)
	if err != nil {
		return nil, err
	}
	files, err := s.hub(nil).files(ctx, p)
	if err != nil {
		return nil, err
	}
	return s.inspectAll(ctx, source, files, func(name string) bool {
		return (p.file == "" || name == p.file || strings.HasPrefix(name, strings.TrimSuffix(p.file, "/")+"/")) && keep(name)
	})
}

func (s sources) discoverOCI(ctx context.Context, source string, keep func(string) bool) (all []Found, err error) {
	var ref name.Reference
	var only string
	if ociPlace.MatchString(source) {
		ref, only, err = parseOCI(source)
	} else if ref, err = name.ParseReference(strings.TrimPrefix(source, "oci://")); err != nil {
		err = contentErrorf("source %s is not of the form oci://host/repository:tag or oci://host/repository@sha256:…", redact(source))
	}
	if err != nil {
		return nil, err
	}
	src, digest, err := s.image(ctx, ref, nil)
	if err != nil {
		return nil, err
	}
	base := "oci://" + src.repo.Digest(digest.String()).String() + "/"
	wanted := func(name string) bool { return (only == "" || name == only || name == inModel(only)) && keep(name) }
	for _, l := range src.manifest.Layers {
		if all, err = src.discover(ctx, base, l, all); err != nil {
			return nil, fmt.Errorf("reading oci://%s: %w", ref, err)
		}
	}
	if slices.ContainsFunc(all, func(f Found) bool { return f.inRoot }) { // the rest is the image's own: a shell, a server
		all = slices.DeleteFunc(all, func(f Found) bool { return !f.inRoot })
	}
	all = slices.DeleteFunc(all, func(f Found) bool { return !wanted(f.Path) })
	if len(all) == 0 {
		return nil, fmt.Errorf("oci://%s has no file that is asked for", ref)
	}
	for _, f := range all {
		err = errors.Join(err, f.err)
	}
	return all, err
}

// discover adds the files of one layer to those below it. The digest of a blob that is a file is the file's.
func (o *ociSource) discover(ctx context.Context, base string, l v1.Descriptor, below []Found) ([]Found, error) {
	names := titles(l)
	if !isTar(l) && len(names) == 0 {
		return below, nil
	}
	blob, err := o.open(ctx, base, l)
	if err != nil {
		return nil, err
	}
	if !isTar(l) {
		f := registry.File{Path: inModel(names[0]), Source: base + names[0], SHA256: l.Digest.Hex, Size: l.Size}
		if checkPath(f.Path) != nil {
			return below, blob.Close()
		}
		found, err := inspect(f, blob)
		found.err = err
		return append(below, found), nil
	}
	found, err := entries(blob, l, base, below)
	return found, errors.Join(err, blob.Close())
}

// entries reads a layer through, and lays it over what is below it: a file hides one of its name, and names that begin
// with .wh. delete (https://github.com/opencontainers/image-spec/blob/main/layer.md).
func entries(blob io.Reader, l v1.Descriptor, base string, below []Found) ([]Found, error) {
	r, err := unpack(blob, l)
	if err != nil {
		return nil, err
	}
	var added []Found
	for {
		h, err := r.Next()
		if err == io.EOF {
			return append(below, added...), nil
		}
		if err != nil {
			return nil, err
		}
		at := entryPath(h)
		if deleted, ok := whiteout(at); ok {
			below = slices.DeleteFunc(below, func(f Found) bool { return f.place(base) == deleted || strings.HasPrefix(f.place(base), deleted+"/") })
			continue
		}
		same := func(f Found) bool { return f.place(base) == at }
		below, added = slices.DeleteFunc(below, same), slices.DeleteFunc(added, same) // a name may come twice in one archive
		if !isFile(h) || checkPath(at) != nil {
			continue
		}
		name := inModel(at)
		found, err := Found{File: registry.File{Path: name, Source: base + at, Size: -1}}, notSparse(h)
		if err == nil {
			found, err = inspect(found.File, io.NopCloser(r))
		}
		found.err, found.inRoot = err, name != at
		added = append(added, found)
	}
}

// place is where in the image a file is.
func (f Found) place(base string) string { return strings.TrimPrefix(f.Source, base) }

// whiteout is what an entry deletes of the layers below.
func whiteout(at string) (deleted string, ok bool) {
	dir, name := path.Split(at)
	if name == ".wh..wh..opq" {
		return strings.TrimSuffix(dir, "/"), true
	}
	name, ok = strings.CutPrefix(name, ".wh.")
	return dir + name, ok
}

// inModel is a file's path in the model, whose folder in an image is models.
func inModel(name string) string { return strings.TrimPrefix(name, root+"/") }
