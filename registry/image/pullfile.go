package image

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// maxHead bounds what comes before a file's content in its layer: its folders' entries and its header.
const maxHead = 1 << 20

// errDigest says that a layer's bytes are not those its digest stands for.
var errDigest = errors.New("its bytes are not those of its digest")

// layer brings the file of one layer. What an interrupted Pull left may be damaged, which shows in the end only: then it
// comes anew, once.
func (p *pulling) layer(ctx context.Context, l v1.Descriptor) error {
	partial := path.Join(partialDir, l.Digest.Hex)
	_, fresh := p.root.Lstat(partial)
	err := p.fetch(ctx, l, partial)
	if !errors.Is(err, errDigest) {
		return err
	}
	if gone := p.root.Remove(partial); gone != nil || fresh != nil {
		return errors.Join(err, gone)
	}
	return p.fetch(ctx, l, partial)
}

// fetch reads a layer into partial, or leaves it at its header when the file is there already.
func (p *pulling) fetch(ctx context.Context, l v1.Descriptor, partial string) error {
	blob, err := p.src.openAt(ctx, p.address(l), l, 0)
	if err != nil {
		return err
	}
	defer blob.Close()
	head, name, size, err := p.head(blob, l)
	if err != nil {
		return err
	}
	sum := sha256.New()
	if n, err := p.sum(sum, head, name); err == nil && n == size && layerDigest(sum, size) == l.Digest.Hex {
		p.progress(name, size)(size)
		return p.have(name, pulledFile{size: size})
	}
	had, err := p.sum(sum, head, partial)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if had > size {
		return fmt.Errorf("%s: %w", p.address(l), errDigest)
	}
	if had > 0 {
		blob.Close() // or it would fill buffers with what nobody reads
		rest, err := p.src.openAt(ctx, p.address(l), l, int64(len(head))+had)
		if err != nil {
			return err
		}
		defer rest.Close()
		blob = rest
	}
	if err := p.append(partial, &download{to: p, src: blob, sum: sum, done: had, size: size, report: p.progress(name, size)}, size-had); err != nil {
		return fmt.Errorf("reading %s: %w", p.address(l), err)
	}
	io.CopyN(io.Discard, blob, int64(len(tarTail(size)))) // or the connection could not be used again
	if layerDigest(sum, size) != l.Digest.Hex {
		return fmt.Errorf("%s: %w", p.address(l), errDigest)
	}
	p.progress(name, size)(size)
	return p.have(name, pulledFile{size: size, partial: partial})
}

// head reads a layer up to its file's content, and refuses what is not one file in the model's folder.
func (p *pulling) head(blob io.Reader, l v1.Descriptor) (head []byte, name string, size int64, err error) {
	var seen bytes.Buffer
	r := tar.NewReader(io.TeeReader(io.LimitReader(blob, maxHead), &seen))
	for {
		h, err := r.Next()
		switch {
		case err == io.EOF || err == tar.ErrHeader || err == io.ErrUnexpectedEOF:
			return nil, "", 0, p.foreign("layer %s holds no file", l.Digest)
		case err != nil:
			return nil, "", 0, fmt.Errorf("reading %s: %w", p.address(l), err)
		case h.Typeflag == tar.TypeDir && inRoot(strings.TrimSuffix(h.Name, "/")+"/x"):
			continue
		case h.Typeflag != tar.TypeReg:
			return nil, "", 0, p.foreign("%q in layer %s is neither file nor folder of the model", h.Name, l.Digest)
		case !inRoot(h.Name):
			return nil, "", 0, p.foreign("%q in layer %s is not below %s", h.Name, l.Digest, root)
		}
		if int64(seen.Len())+h.Size+int64(len(tarTail(h.Size))) != l.Size {
			return nil, "", 0, p.foreign("layer %s holds more than the file %s", l.Digest, h.Name)
		}
		return seen.Bytes(), h.Name, h.Size, nil
	}
}

// inRoot says whether an entry is a file of the model by its name.
func inRoot(name string) bool {
	below, ok := strings.CutPrefix(name, root+"/")
	return ok && checkPath(below) == nil
}

// sum begins the layer's hash anew with its head and what a file has of the content, and tells how much that is.
func (p *pulling) sum(sum hash.Hash, head []byte, name string) (int64, error) {
	sum.Reset()
	sum.Write(head)
	if info, err := p.root.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return 0, err
	}
	f, err := p.root.Open(name)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(sum, f)
	return n, errors.Join(err, f.Close())
}

// layerDigest is the digest of a layer whose head and content were hashed. The end is known.
func layerDigest(sum hash.Hash, size int64) string {
	sum.Write(tarTail(size))
	return hex.EncodeToString(sum.Sum(nil))
}

func (p *pulling) append(name string, from io.Reader, n int64) (err error) {
	f, err := p.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.CopyN(f, from, n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// download hashes and counts what comes.
type download struct {
	to     *pulling
	src    io.Reader
	sum    hash.Hash
	done   int64 // of the file
	size   int64
	report func(int64)
}

func (d *download) Read(b []byte) (int, error) {
	n, err := d.src.Read(b)
	d.sum.Write(b[:n])
	before := d.done
	d.done += int64(n)
	d.to.read.Add(int64(n))
	if d.done < d.size && d.done/progressStep != before/progressStep {
		d.report(d.done)
	}
	return n, err
}
