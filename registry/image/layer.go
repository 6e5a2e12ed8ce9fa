package image

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"sync"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/stream"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/davit-dev/davit/registry"
)

// layer is a v1.Layer that exists only while it is uploaded. Its size is known from the start, so the
// request has a Content-Length; its digest is known once it was read to the end. It can be read again: the
// pusher does so when the OCI registry breaks off.
type layer struct {
	file registry.File
	head []byte
	size int64       // of the whole tar
	from name.Digest // where it can be mounted from; the zero value: nowhere
	open func() (io.ReadCloser, error)

	read, uploaded *atomic.Int64
	progress       func(done int64) // may be nil

	mu     sync.Mutex
	digest *v1.Hash
	err    error // what was wrong with the source
}

var _ v1.Layer = (*layer)(nil)

func newLayer(f registry.File) (*layer, error) {
	head, err := tarHead(f.Path, f.Size)
	if err != nil {
		return nil, err
	}
	size := int64(len(head)) + f.Size + int64(len(tarTail(f.Size)))
	return &layer{file: f, head: head, size: size}, nil
}

// Digest is stream.ErrNotComputed before the layer was read, which makes the pusher upload without asking
// for the blob first.
func (l *layer) Digest() (v1.Hash, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.digest == nil {
		return v1.Hash{}, stream.ErrNotComputed
	}
	return *l.digest, nil
}

func (l *layer) DiffID() (v1.Hash, error)             { return l.Digest() }
func (l *layer) Size() (int64, error)                 { return l.size, nil }
func (l *layer) MediaType() (types.MediaType, error)  { return types.OCIUncompressedLayer, nil }
func (l *layer) Uncompressed() (io.ReadCloser, error) { return l.Compressed() }

// Compressed opens the source and reads the layer; it is not compressed, the name is v1.Layer's.
func (l *layer) Compressed() (io.ReadCloser, error) { return l.reading(l.uploaded, l.progress) }

// reading opens the source, and counts what is uploaded of it and how far it is, if somebody wants to know.
func (l *layer) reading(uploaded *atomic.Int64, progress func(int64)) (io.ReadCloser, error) {
	if err := l.fault(); err != nil {
		return nil, final{err}
	}
	src, err := l.open()
	if err != nil {
		return nil, l.fail(err)
	}
	r := &layerReader{layer: l, src: src, sum: sha256.New(), uploaded: uploaded}
	r.tar = frame(l.head, &verifier{
		file: l.file, src: bufio.NewReaderSize(src, 64<<10), sum: sha256.New(),
		count: l.read, progress: progress,
	}, l.file.Size)
	return r, nil
}

func (l *layer) fault() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *layer) fail(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	return final{err}
}

// final hides an error's type from the pusher, which would upload again after an io.ErrUnexpectedEOF. The
// source has already been retried by then.
type final struct{ err error }

func (e final) Error() string { return e.err.Error() }

// layerReader is one reading of a layer.
type layerReader struct {
	layer    *layer
	src      io.Closer
	tar      io.Reader
	sum      hash.Hash
	n        int64
	uploaded *atomic.Int64
	closed   atomic.Bool
}

func (r *layerReader) Read(p []byte) (int, error) {
	n, err := r.tar.Read(p)
	r.sum.Write(p[:n])
	r.n += int64(n)
	if r.uploaded != nil {
		r.uploaded.Add(int64(n))
	}
	// Not at EOF: the transport reads that after it sent the last byte, when the answer may be there already.
	if r.n == r.layer.size && n > 0 {
		r.layer.mu.Lock()
		r.layer.digest = &v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(r.sum.Sum(nil))}
		r.layer.mu.Unlock()
	}
	if err != nil && err != io.EOF {
		if r.closed.Load() { // the OCI registry's side broke off; the source is not to blame
			return n, err
		}
		return n, r.layer.fail(err)
	}
	return n, err
}

// Close may be called while Read is running: the transport does.
func (r *layerReader) Close() error {
	r.closed.Store(true)
	return r.src.Close()
}

// progressStep is how many bytes pass between two reports: often enough for a bar, too rarely to cost.
const progressStep = 1 << 20

// verifier passes a file's content on and ends with an error, never with EOF, when it is not what the
// ModelVersion says. The tar's tail comes after EOF, so what is wrong is never uploaded whole.
type verifier struct {
	file     registry.File
	src      *bufio.Reader
	sum      hash.Hash
	n        int64
	peeked   bool
	count    *atomic.Int64
	progress func(done int64)
}

func (v *verifier) Read(p []byte) (int, error) {
	if !v.peeked {
		v.peeked = true
		head, _ := v.src.Peek(codeHead) // an error here comes again from Read
		if bytes.HasPrefix(head, []byte(lfsPointer)) {
			return 0, &ContentError{Err: errLFS}
		}
		if isPickle(head) && registry.CarriesCode(v.file.Path) == "" {
			return 0, &ContentError{Err: errPickle}
		}
	}
	n, err := v.src.Read(p)
	if v.n+int64(n) > v.file.Size {
		return 0, contentErrorf("is longer than the %d bytes the file says; run davit add to write it anew", v.file.Size)
	}
	v.sum.Write(p[:n])
	before := v.n
	v.n += int64(n)
	if v.count != nil {
		v.count.Add(int64(n))
	}
	if v.progress != nil && v.n < v.file.Size && v.n/progressStep != before/progressStep {
		v.progress(v.n)
	}
	if err != io.EOF {
		return n, err
	}
	if v.n != v.file.Size {
		return n, contentErrorf("size is %d, the file says %d; run davit add to write it anew", v.n, v.file.Size)
	}
	if got := hex.EncodeToString(v.sum.Sum(nil)); got != v.file.SHA256 {
		return n, contentErrorf("sha256 is %s, the file says %s; run davit add to write it anew", got, v.file.SHA256)
	}
	if v.progress != nil {
		v.progress(v.n)
	}
	return n, io.EOF
}
