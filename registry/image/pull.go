package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"
)

// partialDir is where files are while they come: in the folder itself, since a rename must not cross file systems.
const partialDir = ".davit-pull"

// Pulled is what Pull did.
type Pulled struct {
	Ref       string // of the image, repository@sha256:…
	Files     int    // of the model
	Bytes     int64  // they have
	BytesRead int64  // from the OCI registry
}

// Pull copies the files of a model image, a tag or a digest of any repository, into a folder, which is made if need be: to
// models/<path> in it, as a container sees them that mounts the image there. Every layer is checked against its digest. Nothing
// in models is touched before all of them are there, and nothing may be in it that is not the image's. What is there already
// is not read again, and what was interrupted goes on. One Pull at a time may write into a folder.
func (b *Builder) Pull(ctx context.Context, ref, dir string) (Pulled, error) {
	r, err := name.ParseReference(ref)
	if err != nil {
		return Pulled{}, err
	}
	src, digest, err := b.sources(nil, nil).image(ctx, r, nil)
	if err != nil {
		return Pulled{}, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Pulled{}, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Pulled{}, err
	}
	defer root.Close()
	if err := root.MkdirAll(partialDir, 0o755); err != nil {
		return Pulled{}, err
	}
	p := &pulling{builder: b, src: src, root: root, dir: dir, label: label(r), ref: r.Context().Digest(digest.String()).String(), files: map[string]pulledFile{}}
	return p.run(ctx)
}

// label is an image in a few words: its repository's last name with the tag or the beginning of the digest.
func label(r name.Reference) string {
	id := r.Identifier()
	if hex, ok := strings.CutPrefix(id, "sha256:"); ok {
		return path.Base(r.Context().RepositoryStr()) + "@" + hex[:12]
	}
	return path.Base(r.Context().RepositoryStr()) + ":" + id
}

// pulling is one image's way into a folder.
type pulling struct {
	builder         *Builder
	src             *ociSource
	root            *os.Root // which nothing leaves, not even by a symbolic link
	dir, label, ref string
	read            atomic.Int64

	mu    sync.Mutex
	files map[string]pulledFile // by the path in the image
}

// pulledFile is a file that is whole.
type pulledFile struct {
	size    int64
	partial string // where it is, below the folder; empty when it is in its place
}

func (p *pulling) run(ctx context.Context) (Pulled, error) {
	layers := p.src.manifest.Layers
	if n := len(layers); n == 0 || n > MaxFiles {
		return Pulled{}, p.foreign("it has %d layers", n)
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, l := range layers {
		if l.MediaType != types.OCIUncompressedLayer {
			return Pulled{}, p.foreign("layer %s is %s", l.Digest, l.MediaType)
		}
		g.Go(func() error { return p.builder.limited(gctx, func() error { return p.layer(gctx, l) }) })
	}
	if err := g.Wait(); err != nil {
		return Pulled{}, err
	}
	if err := p.place(); err != nil {
		return Pulled{}, err
	}
	done := Pulled{Ref: p.ref, Files: len(p.files), BytesRead: p.read.Load()}
	for _, f := range p.files {
		done.Bytes += f.size
	}
	return done, nil
}

// foreign says that an image is not one to be pulled.
func (p *pulling) foreign(format string, args ...any) error {
	return contentErrorf("%s is not a model image of davit's: %s; name one that davit build has pushed", p.ref, fmt.Sprintf(format, args...))
}

// have notes a file that is whole.
func (p *pulling) have(name string, f pulledFile) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, twice := p.files[name]; twice {
		return p.foreign("two layers hold %s", name)
	}
	p.files[name] = f
	return nil
}

// place puts the files where they belong, once nothing else is there.
func (p *pulling) place() error {
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, ok := p.files[dir]; ok {
				return p.foreign("%s is a file and a folder", dir)
			}
		}
	}
	if err := p.strays(); err != nil {
		return err
	}
	for name, f := range p.files {
		if f.partial == "" {
			continue
		}
		if err := p.root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		if err := p.root.Rename(f.partial, name); err != nil {
			return err
		}
	}
	return p.root.RemoveAll(partialDir)
}

// strays refuses files that are not the image's: a server would take an old shard for one of the model's.
func (p *pulling) strays() error {
	err := fs.WalkDir(p.root.FS(), root, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if _, ok := p.files[name]; !ok {
			return fmt.Errorf("%s is not of %s; remove it, or name another folder", path.Join(p.dir, name), p.label)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (p *pulling) progress(name string, size int64) func(done int64) {
	if p.builder.cfg.Progress == nil {
		return func(int64) {}
	}
	return func(done int64) {
		p.builder.cfg.Progress(Progress{Version: p.label, File: strings.TrimPrefix(name, root+"/"), Done: done, Total: size})
	}
}

// address names a layer for people.
func (p *pulling) address(l v1.Descriptor) string {
	return "oci://" + p.src.repo.Digest(l.Digest.String()).String()
}
