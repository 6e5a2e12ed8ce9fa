package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
)

const (
	// root is the folder of the image that holds the model; KServe looks for it under this name.
	root = "models"
	// blockSize is tar's unit; an archive ends with two zero blocks, and with no more than two: writers that
	// pad to 10,240 bytes give another digest.
	blockSize = 512
	// maxUSTAR is the greatest size the 11 octal digits of a USTAR header can say, 8 GiB - 1.
	maxUSTAR = 1<<33 - 1
)

// tarHead is the archive up to the file's content: the parent folders' entries and the file's header.
func tarHead(name string, size int64) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	name = path.Join(root, name)
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		if err := writeHeader(w, &tar.Header{Typeflag: tar.TypeDir, Name: name[:i+1], Mode: 0o755}); err != nil {
			return nil, err
		}
	}
	if err := writeHeader(w, &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size}); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil // not closed: content and end follow from elsewhere
}

// writeHeader writes USTAR where it can say the entry and GNU where it can't. Left to itself, archive/tar
// takes PAX, whose records are one more entry per file.
func writeHeader(w *tar.Writer, h *tar.Header) error {
	h.ModTime = time.Unix(0, 0)
	h.Format = tar.FormatGNU
	if h.Size <= maxUSTAR && fitsUSTAR(h.Name) {
		h.Format = tar.FormatUSTAR
	}
	if err := w.WriteHeader(h); err != nil {
		return fmt.Errorf("writing tar header of %q: %w", h.Name, err)
	}
	return nil
}

// fitsUSTAR holds to the 100 bytes of the name field; the prefix field is left alone, since readers differ in it.
func fitsUSTAR(name string) bool {
	return len(name) <= 100 && strings.IndexFunc(name, func(r rune) bool { return r > 0x7e }) < 0
}

// tarTail is the archive after size bytes of content: padding to a block and the two zero blocks.
func tarTail(size int64) []byte {
	return make([]byte, (blockSize-size%blockSize)%blockSize+2*blockSize)
}

// frame is the archive with content between head and tail. It ends when content fails.
func frame(head []byte, content io.Reader, size int64) io.Reader {
	return io.MultiReader(bytes.NewReader(head), content, bytes.NewReader(tarTail(size)))
}
