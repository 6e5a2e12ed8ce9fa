package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/davit-dev/davit/registry"
)

// Variables for tests.
var (
	// datasetLimit is how long it may take to resolve a dataset: content that no store has a name or a digest for is read to
	// its end, 360 GB of it at 100 MB/s.
	datasetLimit = time.Hour
	// answerLimit is how long an answer may take that is not content.
	answerLimit = time.Minute
)

// ResolveDataset gives a dataset as it is at this moment, by a reference that stands for the same bytes for ever: with the
// same name, and its URI pinned or its SHA256 filled, or both. The same state gives the same result on every call. By scheme:
//
//	any, with a SHA256   the dataset as it is; nothing is asked
//	s3, azblob           ?versionId=… and ?versionid=… where the store keeps versions; else, or where the store tells
//	                     it, the SHA256 of the content. Reading a version takes a permission of its own in S3,
//	                     s3:GetObjectVersion
//	gs                   ?generation=…; once overwritten, a generation is to be had only where the bucket keeps old ones
//	s3, azblob, gs, with a slash at the end
//	                     the SHA256 of the folder's listing; see below
//	hf                   the commit: hf://datasets/organisation/repository@<40 hex digits>/path, and of a model's repository
//	                     without datasets/; the SHA256 of a file that the hub keeps as a large one
//	oci                  the manifest's digest: oci://host/repository@sha256:…
//	http, https          the SHA256 of the content; an ETag is a promise that servers do not keep
//
// References that are pinned already are looked for, and stay as they are.
//
// A folder's SHA256 is not that of its content, but of its listing: for each object whose key does not end with a slash
// the sha256 of "<size>\0<tag>\0<key below the folder>"; these digests, of 32 bytes each, sorted, one after another, are
// hashed again. The size is decimal; the tag is the ETag without quotes, in gs the generation. So whatever is added,
// removed or changed makes another SHA256; in gs and azblob the same content written once more does, too. A trainer that
// wants just what it was resolved for compares. A listing has pages, and what is changed while they are read may be in it
// or not: then it is no state that there ever was, and the next call tells what there is by then.
//
// Content is read in constant memory, and a listing in 32 bytes for each of at most 2 million objects. What is not there, is
// empty, or changes whenever it is read, is an error, and so is what takes longer than an hour. Errors name the dataset
// and have no credentials; a *[ContentError] in them is the dataset's own fault, and all others may pass. Nothing of access,
// which may be nil, gets into the result. It may be called concurrently; how many at a time is the caller's choice.
//
// A path of the registry repository needs its files; see [Builder.ResolveDatasetIn].
func (b *Builder) ResolveDataset(ctx context.Context, d registry.Dataset, access Access) (registry.Dataset, error) {
	return b.ResolveDatasetIn(ctx, nil, d, access)
}

// ResolveDatasetIn is ResolveDataset, in a commit's files: a URI without a scheme is a path among them, and gets the
// SHA256 that the file has there, or that its Git LFS pointer says.
func (b *Builder) ResolveDatasetIn(ctx context.Context, fsys fs.FS, d registry.Dataset, access Access) (registry.Dataset, error) {
	if d.SHA256 != "" {
		return d, nil
	}
	limited, cancel := context.WithTimeout(ctx, datasetLimit)
	defer cancel()
	resolved, err := b.sources(fsys, access).resolveDataset(limited, d)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%s could not be resolved in %v; write its sha256, or put it where versions are kept", redact(d.URI), datasetLimit)
	}
	if err != nil {
		return registry.Dataset{}, fmt.Errorf("dataset %q: %w", d.Name, err)
	}
	return resolved, nil
}

func (s sources) resolveDataset(ctx context.Context, d registry.Dataset) (registry.Dataset, error) {
	f := registry.File{Path: "dataset", Source: d.URI, Size: -1}
	if err := registry.CheckFile(f); err != nil { // nothing that has credentials in it is asked for, or given back
		return d, &ContentError{Err: err}
	}
	scheme, _, ok := strings.Cut(d.URI, "://")
	if !ok {
		return s.resolvePath(ctx, d, f)
	}
	resolve, ok := map[string]func(sources, context.Context, registry.Dataset, registry.File, Secret) (registry.Dataset, error){
		"http": sources.resolveWeb, "https": sources.resolveWeb, "hf": sources.resolveHub, "oci": sources.resolveOCI,
		"s3": sources.resolveObject, "gs": sources.resolveObject, "azblob": sources.resolveObject,
	}[strings.ToLower(scheme)]
	if !ok {
		return d, contentErrorf("%s: what it is at a moment can't be told of the scheme %q; write the dataset's sha256, or use an https://, s3://, gs://, azblob://, hf:// or oci:// address",
			redact(d.URI), scheme)
	}
	secret, err := s.secret(ctx, f)
	if err != nil {
		return d, err
	}
	return resolve(s, ctx, d, f, secret)
}

// resolvePath hashes a file of the registry repository.
func (s sources) resolvePath(ctx context.Context, d registry.Dataset, f registry.File) (registry.Dataset, error) {
	if s.fsys == nil {
		return d, contentErrorf("%q is a path, which is as its commit has it; write the dataset's sha256, or put it where an https://, s3://, gs://, azblob://, hf:// or oci:// address leads", d.URI)
	}
	r, err := openRepository(s.fsys, f)
	if err != nil {
		return d, err
	}
	defer r.Close()
	head := make([]byte, maxPointer+1)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return d, fmt.Errorf("reading %q: %w", d.URI, err)
	}
	if pointer, ok := ParsePointer(head[:n]); ok {
		d.SHA256 = pointer.SHA256
		return d, nil
	}
	d.SHA256, err = contentSHA256(ctx, f, io.MultiReader(strings.NewReader(string(head[:n])), r))
	return d, err
}

// answer waits for something that is not content, as long as that may take.
func answer(ctx context.Context, f registry.File, ask func(ctx context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	err := ask(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("reading %s: no answer in %v", redact(f.Source), answerLimit)
	}
	return err
}

// errEmpty is a fault: nobody trains on nothing, and a server that has lost a file may well say 200.
func errEmpty(f registry.File) error {
	return contentErrorf("source %s is empty; correct the address (of a folder of object storage, it ends with a slash) or put the data there", redact(f.Source))
}

// contextReader ends with its context, whatever it reads from.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// readAnew reads content to its end and begins again when it is another one half way.
func readAnew(ctx context.Context, f registry.File, open connect) (sum string, err error) {
	for range 1 + retries {
		var r io.ReadCloser
		if r, err = openResumed(ctx, f, open); err == nil {
			sum, err = contentSHA256(ctx, f, r)
			r.Close()
		}
		if !errors.Is(err, errMoved) {
			return sum, err
		}
	}
	return "", fmt.Errorf("reading %s: %w, %d times; let its writer put it elsewhere and rename it, or keep versions of it", redact(f.Source), err, 1+retries)
}
