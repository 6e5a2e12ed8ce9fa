package image

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"

	"github.com/davit-dev/davit/registry"
)

// MaxFiles is how many files a version may have: each is a layer, and an overlay mount has room for some
// 500 of them (600 fail to mount).
const MaxFiles = 300

// Config configures a Builder. The zero value is useful.
type Config struct {
	// Keychain has the credentials of OCI registries; when nil, authn.DefaultKeychain, and then the cloud's for its own.
	Keychain authn.Keychain
	// Transport reaches OCI registries; remote.DefaultTransport when nil.
	Transport http.RoundTripper
	// HTTP reaches http and https sources; when nil, a client that has limits for each step but none for
	// the body.
	HTTP *http.Client
	// S3PathStyle puts the names of S3 buckets into the path of requests: an endpoint of one's own has no host name for
	// each bucket.
	S3PathStyle bool
	// GCSEndpoint stands in for Google Cloud Storage, and gets no credentials; empty for the real one.
	GCSEndpoint string
	// HuggingFace is the hub of hf:// sources.
	HuggingFace HuggingFace
	// Key signs what is built; nil signs nothing. With a key, only images that bear its signature and a provenance count as
	// built: others are read and checked again.
	Key *Key
	// BuilderID names who builds, in provenances; https://davit.dev/builder when empty. BuilderVersion may be empty.
	BuilderID, BuilderVersion string
	// Jobs is how many files are read and uploaded at a time, over all builds; 4 when zero.
	Jobs int
	// Progress hears of each file every MiB and at its end. It is called concurrently. May be nil.
	Progress func(Progress)
	// Log hears what PublishRun passes over of a trainer's output, and which OCI registries of a cloud are asked anonymously
	// since the process has no identity there; nil for nobody.
	Log *slog.Logger
}

// HuggingFace is a Hugging Face Hub.
type HuggingFace struct {
	Endpoint string // https://huggingface.co when empty
	Token    string // for private and gated repositories
}

// Progress tells how much of a file has been read.
type Progress struct {
	Version     string // "iris@v2"
	File        string
	Done, Total int64 // bytes
}

// Result is an image and what it took to have it.
type Result struct {
	// Ref is repository@sha256:…, Digest its second half.
	Ref, Digest string
	// Built is false when the image was there already.
	Built bool
	// BytesRead from sources and BytesUploaded to the OCI registry, retries included.
	BytesRead, BytesUploaded int64
}

// ContentError is a fault of the revision itself: content that is not what the ModelVersion says, a source
// that does not exist or can't be used. Trying again does not help. Every other error of a Builder is
// passing: an OCI registry or a source that can't be reached, or credentials that have expired.
type ContentError struct {
	Path string // of the ModelVersion file
	File string // path of the model's file, or "" when all are meant
	Err  error
}

func (e *ContentError) Error() string {
	switch {
	case e.Path == "":
		return e.Err.Error()
	case e.File == "":
		return fmt.Sprintf("%s: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("%s: file %q: %v", e.Path, e.File, e.Err)
}

func (e *ContentError) Unwrap() error { return e.Err }

func contentErrorf(format string, args ...any) error {
	return &ContentError{Err: fmt.Errorf(format, args...)}
}

// Builder finds and builds model images. It is safe for concurrent use.
type Builder struct {
	cfg     Config
	options []remote.Option
	jobs    chan struct{}
	puller  atomic.Pointer[remote.Puller]
	flights flights
	seen    sync.Map // tag and version's name -> Result, of images that were there: a tag of ours never moves
	places  sync.Map // OCI registry and layer key -> place, of layers that were seen
	whole   sync.Map // OCI registries that take a blob in one request only
}

// New returns a Builder. It opens no connection.
func New(cfg Config) (*Builder, error) {
	if cfg.Jobs < 0 {
		return nil, fmt.Errorf("%d jobs: must be positive, or 0 for the default", cfg.Jobs)
	}
	if cfg.Jobs == 0 {
		cfg.Jobs = 4
	}
	if cfg.Transport == nil {
		cfg.Transport = remote.DefaultTransport
	}
	if cfg.BuilderID == "" {
		cfg.BuilderID = "https://davit.dev/builder"
	}
	if cfg.HTTP == nil {
		cfg.HTTP = newHTTPClient()
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Keychain == nil {
		cfg.Keychain = authn.NewMultiKeychain(authn.DefaultKeychain, &identities{log: cfg.Log})
	}
	cfg.HTTP = withinOrigin(cfg.HTTP)
	b := &Builder{
		cfg:     cfg,
		options: []remote.Option{remote.WithAuthFromKeychain(cfg.Keychain), remote.WithTransport(cfg.Transport)},
		jobs:    make(chan struct{}, cfg.Jobs),
	}
	return b, b.renewPuller()
}

// Find looks for v's image in repository, with one HEAD request.
func (b *Builder) Find(ctx context.Context, repository string, v *registry.ModelVersion) (Result, bool, error) {
	repo, err := name.NewRepository(repository)
	if err != nil {
		return Result{}, false, fmt.Errorf("images of %s: %w", v, err)
	}
	desc, err := b.head(ctx, repo.Tag(Tag(v)))
	if err != nil || desc == nil {
		return Result{}, false, err
	}
	return result(repository, desc.Digest), true, nil
}

// Exists tells whether a manifest exists at ref, a tag or a digest of any repository.
func (b *Builder) Exists(ctx context.Context, ref string) (bool, error) {
	r, err := name.ParseReference(ref)
	if err != nil {
		return false, err
	}
	desc, err := b.head(ctx, r)
	if err == nil && desc == nil { // somebody deleted it: the next Ensure looks for itself
		b.seen.Range(func(tag, found any) bool {
			if found.(Result).Ref == ref {
				b.seen.Delete(tag)
			}
			return true
		})
	}
	return desc != nil, err
}

// Ensure finds the image of v in repository, such as "127.0.0.1:5000/models/iris", or builds it. Sources
// that are paths are read from fsys, which may know where Git LFS keeps content: a method LFS, as a gitops.Snapshot has.
// The others are read with what access gives, which may be nil. Concurrent calls for one image share one build. When anything is
// wrong, nothing is published. An image seen once is not looked for again, unless Exists missed it.
func (b *Builder) Ensure(ctx context.Context, fsys fs.FS, repository string, v *registry.ModelVersion, access Access) (Result, error) {
	if err := check(v); err != nil {
		return Result{}, err
	}
	tag := repository + ":" + Tag(v)
	named := [2]string{tag, v.Name}
	if seen, ok := b.seen.Load(named); ok {
		return seen.(Result), nil
	}
	found, err := b.have(ctx, fsys, repository, v, access)
	if err != nil {
		return Result{}, err
	}
	if err := b.call(ctx, repository, v, found.Digest); err != nil {
		return Result{}, err
	}
	b.seen.Store(named, Result{Ref: found.Ref, Digest: found.Digest})
	return found, nil
}

// have finds the image of a version that was checked, or builds it, under the tag of its content alone.
func (b *Builder) have(ctx context.Context, fsys fs.FS, repository string, v *registry.ModelVersion, access Access) (Result, error) {
	return b.flights.do(ctx, repository+":"+Tag(v), func(ctx context.Context) (Result, error) {
		found, ok, err := b.trusted(ctx, repository, v)
		if err == nil && !ok {
			found, err = b.build(ctx, b.sources(fsys, access), repository, v)
		}
		return found, err
	})
}

// trusted finds an image that counts as built. What Find has of it is a header's word: the manifest is read by its digest.
func (b *Builder) trusted(ctx context.Context, repository string, v *registry.ModelVersion) (Result, bool, error) {
	found, ok, err := b.Find(ctx, repository, v)
	if err != nil || !ok {
		return found, ok, err
	}
	image, err := name.NewDigest(found.Ref)
	if err != nil {
		return found, false, err
	}
	if ok, err = b.madeOf(ctx, image, v); err == nil && ok && b.cfg.Key != nil {
		ok, err = b.own(ctx, image)
	}
	return found, ok, err
}

func (b *Builder) sources(fsys fs.FS, access Access) sources {
	return sources{fsys, access, &b.cfg, b.options, &sync.Map{}}
}

// build uploads every file as a layer, then the config, then the manifest under the tag.
func (b *Builder) build(ctx context.Context, src sources, repository string, v *registry.ModelVersion) (Result, error) {
	repo, err := name.NewRepository(repository)
	if err != nil {
		return Result{}, fmt.Errorf("images of %s: %w", v, err)
	}
	// One for each build: it remembers blobs for ever, and the OCI registry may have collected them since.
	pusher, err := remote.NewPusher(b.options...)
	if err != nil {
		return Result{}, err
	}
	u := upload{builder: b, pusher: pusher, repo: repo, version: v, fsys: src.fsys}
	known := b.knownLayers(ctx, repo)
	g, gctx := errgroup.WithContext(ctx)
	var layers []*layer
	for _, f := range sortedFiles(v) {
		l, err := newLayer(f)
		if err != nil {
			return Result{}, &ContentError{Path: v.Path, File: f.Path, Err: err}
		}
		key := layerKey(f)
		if d, ok := known[key]; ok && d.Size == l.size {
			l.digest = &d.Digest
		} else if at, ok := b.elsewhere(ctx, repo, f, key); ok && at.desc.Size == l.size {
			l.digest, l.from = &at.desc.Digest, at.repo.Digest(at.desc.Digest.String())
		}
		l.open = func() (io.ReadCloser, error) { return src.open(gctx, f) }
		l.read, l.uploaded, l.progress = &u.read, &u.sent, b.progress(v, f)
		layers = append(layers, l)
	}
	if err := fits(repo, v, layers); err != nil {
		return Result{}, err
	}
	for _, l := range layers {
		g.Go(func() error { return b.limited(gctx, func() error { return u.layer(gctx, l) }) })
	}
	if err := g.Wait(); err != nil {
		return Result{}, err
	}
	digest, err := u.publish(ctx, layers)
	if err != nil {
		return Result{}, fmt.Errorf("publishing image of %s in %s: %w", v, repository, err)
	}
	res := result(repository, digest)
	res.Built, res.BytesRead, res.BytesUploaded = true, u.read.Load(), u.sent.Load()
	return res, nil
}

// limited runs f as one of the Builder's jobs.
func (b *Builder) limited(ctx context.Context, f func() error) error {
	select {
	case b.jobs <- struct{}{}:
		defer func() { <-b.jobs }()
		return f()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *Builder) progress(v *registry.ModelVersion, f registry.File) func(int64) {
	if b.cfg.Progress == nil {
		return nil
	}
	return func(done int64) {
		b.cfg.Progress(Progress{Version: v.String(), File: f.Path, Done: done, Total: f.Size})
	}
}

func result(repository string, digest v1.Hash) Result {
	return Result{Ref: repository + "@" + digest.String(), Digest: digest.String()}
}
