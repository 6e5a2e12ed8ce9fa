package image

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
	modelpack "github.com/modelpack/model-spec/specs-go/v1"

	"github.com/davit-dev/davit/registry"
)

// ociSource is an image or artifact in an OCI registry.
type ociSource struct {
	repo     name.Repository
	manifest v1.Manifest
	client   *http.Client
}

var ociPlace = regexp.MustCompile(`^oci://([^@?#]+)@(sha256:[0-9a-f]{64})(?:/([^?#]+))?$`)

// parseOCI takes oci://host/repository@sha256:…/path apart; the path may be missing.
func parseOCI(source string) (ref name.Digest, file string, err error) {
	m := ociPlace.FindStringSubmatch(source)
	if m == nil || m[3] != "" && checkPath(m[3]) != nil {
		return ref, "", contentErrorf("source %s is not of the form oci://host/repository@sha256:<64 hex digits>/path", redact(source))
	}
	if ref, err = name.NewDigest(m[1] + "@" + m[2]); err != nil {
		return ref, "", contentErrorf("source %s: %w", redact(source), err)
	}
	return ref, m[3], nil
}

// options are how an OCI registry is reached as a source.
func (s sources) options(secret Secret) []remote.Option {
	if len(secret) == 0 {
		return s.oci
	}
	return []remote.Option{remote.WithTransport(s.cfg.Transport), remote.WithAuth(secret.registry())} // one way to log in only
}

func (s Secret) registry() authn.Authenticator {
	return authn.FromConfig(authn.AuthConfig{Username: s["username"], Password: s["password"], RegistryToken: s["token"]})
}

func (s sources) imageOnce(ctx context.Context, ref name.Digest, secret Secret) (*ociSource, error) {
	if seen, ok := s.images.Load(ref.String()); ok {
		return seen.(*ociSource), nil
	}
	src, _, err := s.image(ctx, ref, secret)
	if err == nil {
		s.images.Store(ref.String(), src)
	}
	return src, err
}

func (s sources) image(ctx context.Context, ref name.Reference, secret Secret) (*ociSource, v1.Hash, error) {
	desc, err := remote.Get(ref, append(slices.Clone(s.options(secret)), remote.WithContext(ctx))...)
	if e, ok := errors.AsType[*transport.Error](err); ok && e.StatusCode == http.StatusNotFound {
		return nil, v1.Hash{}, contentErrorf("source oci://%s does not exist; correct the address or push it there", ref)
	}
	if err != nil {
		return nil, v1.Hash{}, fmt.Errorf("reading oci://%s: %w", ref, err)
	}
	if desc.MediaType.IsIndex() {
		return nil, v1.Hash{}, contentErrorf("source oci://%s is an index; name the digest of one of its images", ref)
	}
	manifest, err := v1.ParseManifest(strings.NewReader(string(desc.Manifest)))
	if err != nil {
		return nil, v1.Hash{}, contentErrorf("source oci://%s: %w", ref, err)
	}
	client, err := s.blobs(ctx, ref.Context(), secret)
	return &ociSource{ref.Context(), *manifest, client}, desc.Digest, err
}

// blobs is a client that may read a repository's blobs. Ranges go through it, which remote.Layer does not have.
func (s sources) blobs(ctx context.Context, repo name.Repository, secret Secret) (*http.Client, error) {
	keychain := s.cfg.Keychain
	auth, err := authn.Resolve(ctx, keychain, repo)
	if len(secret) > 0 {
		auth, err = secret.registry(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("credentials for %s: %w", repo, err)
	}
	t, err := transport.NewWithContext(ctx, repo.Registry, auth, s.cfg.Transport, []string{repo.Scope(transport.PullScope)})
	if err != nil {
		return nil, fmt.Errorf("reaching %s: %w", repo, err)
	}
	return withinOrigin(&http.Client{Transport: t}), nil
}

// openOCI reads one file of an image or artifact: a blob that is the file, or an entry of a tar that is a layer.
func (s sources) openOCI(ctx context.Context, f registry.File, secret Secret) (io.ReadCloser, error) {
	ref, file, err := parseOCI(f.Source)
	if err != nil {
		return nil, err
	}
	if file == "" {
		return nil, contentErrorf("source %s names no file in it; run davit add, which finds them", f.Source)
	}
	src, err := s.imageOnce(ctx, ref, secret)
	if err != nil {
		return nil, err
	}
	for _, l := range src.candidates(file) {
		blob, err := src.open(ctx, f.Source, l)
		if err != nil {
			return nil, err
		}
		if !isTar(l) {
			return blob, nil
		}
		r, err := find(blob, l, file)
		if err == nil {
			return r, nil
		}
		blob.Close()
		if !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading %s: %w", f.Source, err)
		}
	}
	return nil, contentErrorf("source %s: there is no such file in the image; run davit add to see what there is", f.Source)
}

// candidates are the layers that may hold a file: the one that bears its name, or all that don't say what they hold, the
// last first, since it covers the others.
func (o *ociSource) candidates(file string) (layers []v1.Descriptor) {
	for _, l := range o.manifest.Layers {
		if names := titles(l); slices.Contains(names, file) || slices.Contains(names, path.Join(root, file)) {
			return []v1.Descriptor{l}
		}
		if isTar(l) {
			layers = append(layers, l)
		}
	}
	slices.Reverse(layers)
	return layers
}

// titles are the names a layer bears.
func titles(l v1.Descriptor) (names []string) {
	for _, key := range []string{modelpack.AnnotationFilepath, titleAnnotation} {
		if title := l.Annotations[key]; title != "" {
			names = append(names, title, strings.TrimSuffix(title, ".tar"))
		}
	}
	return names
}

// isTar says whether a layer is an archive. oras gives a single file the media type of one, with the file's name as its
// title, and marks a folder that it has packed.
func isTar(l v1.Descriptor) bool {
	kind, title := string(l.MediaType), l.Annotations[titleAnnotation]
	if l.MediaType == types.OCIUncompressedLayer && title != "" && !strings.HasSuffix(title, ".tar") && l.Annotations["io.deis.oras.content.unpack"] != "true" {
		return false
	}
	return strings.HasSuffix(kind, "tar") || strings.Contains(kind, "tar+") || strings.Contains(kind, "tar.gzip")
}

// open reads a blob, and goes on where it was when the connection breaks.
func (o *ociSource) open(ctx context.Context, source string, l v1.Descriptor) (io.ReadCloser, error) {
	return o.openAt(ctx, source, l, 0)
}

func (o *ociSource) openAt(ctx context.Context, source string, l v1.Descriptor, offset int64) (io.ReadCloser, error) {
	address := fmt.Sprintf("%s://%s/v2/%s/blobs/%s", o.repo.Scheme(), o.repo.RegistryStr(), o.repo.RepositoryStr(), l.Digest)
	blob := registry.File{Source: source, Size: l.Size}
	return openResumedAt(ctx, blob, httpSource{client: o.client, file: blob, url: address}.connect, offset)
}

// unpack decompresses a layer. The decoders have no goroutines, so there is nothing to close.
func unpack(blob io.Reader, l v1.Descriptor) (*tar.Reader, error) {
	switch kind := string(l.MediaType); {
	case strings.HasSuffix(kind, "gzip"):
		r, err := gzip.NewReader(blob)
		return tar.NewReader(r), err
	case strings.HasSuffix(kind, "zstd"):
		r, err := zstd.NewReader(blob, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxHeader))
		return tar.NewReader(r), err
	}
	return tar.NewReader(blob), nil
}

// find goes to a file in a layer; io.EOF says that it is not there.
func find(blob io.ReadCloser, l v1.Descriptor, file string) (io.ReadCloser, error) {
	r, err := unpack(blob, l)
	for err == nil {
		var h *tar.Header
		if h, err = r.Next(); err == nil && isFile(h) && (entryPath(h) == file || entryPath(h) == root+"/"+file) {
			return &entry{r, blob}, notSparse(h)
		}
	}
	return nil, err
}

func isFile(h *tar.Header) bool { return h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeGNUSparse }

// notSparse refuses a file with holes: a few bytes of a layer can say that it has exabytes of zeros. In PAX format, which
// archive/tar reads without a word, it has records of its own
// (https://www.gnu.org/software/tar/manual/html_section/Sparse-Formats.html).
func notSparse(h *tar.Header) error {
	sparse := h.Typeflag == tar.TypeGNUSparse
	for key := range h.PAXRecords {
		sparse = sparse || strings.HasPrefix(key, "GNU.sparse.")
	}
	if sparse {
		return contentErrorf("%s is a sparse file in its layer; pack it without holes", entryPath(h))
	}
	return nil
}

func entryPath(h *tar.Header) string { return path.Clean("/" + h.Name)[1:] }

// entry is a file in a layer.
type entry struct {
	io.Reader
	io.Closer
}
