package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is who davit runs as: none that is root. home is its folder, and where a volume with the mirrors belongs.
const (
	user = 65532
	home = "/var/lib/davit"
)

// Programs that look up who runs them, an SSH client's say, read these. runc takes HOME from the first.
const (
	passwd = "root:x:0:0:root:/root:/sbin/nologin\ndavit:x:65532:65532:davit:" + home + ":/sbin/nologin\n"
	group  = "root:x:0:\ndavit:x:65532:\n"
)

// entry is one of a layer's files; a folder without content.
type entry struct {
	name    string
	mode    int64
	owner   int
	content []byte
}

// layer has the program and what a static program needs of a system: certificates, users and a temporary folder. It is
// compressed by a module rather than the standard library, whose bytes change with the version of Go that runs this.
func layer(p *program) (v1.Layer, error) {
	davit, err := os.ReadFile(p.path)
	if err != nil {
		return nil, err
	}
	var compressed bytes.Buffer
	z := gzip.NewWriter(&compressed)
	if err := writeTar(z, []entry{
		{name: "davit", mode: 0o755, content: davit},
		{name: "etc/", mode: 0o755},
		{name: "etc/group", mode: 0o644, content: []byte(group)},
		{name: "etc/passwd", mode: 0o644, content: []byte(passwd)},
		{name: "etc/ssl/", mode: 0o755},
		{name: "etc/ssl/certs/", mode: 0o755},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, content: certificates()},
		{name: "tmp/", mode: 0o1777},
		{name: "var/", mode: 0o755},
		{name: "var/lib/", mode: 0o755},
		{name: home[1:] + "/", mode: 0o700, owner: user},
	}); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(compressed.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer))
}

func writeTar(to io.Writer, entries []entry) error {
	w := tar.NewWriter(to)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: e.mode, Uid: e.owner, Gid: e.owner, Size: int64(len(e.content)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if e.content == nil {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if _, err := w.Write(e.content); err != nil {
			return err
		}
	}
	return w.Close()
}

// certificates are Mozilla's roots in PEM. Those that are only trusted for certificates issued before a day are left out: a
// file can't say so, and to trust all of theirs would be more than Mozilla does.
func certificates() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a buffer takes everything
		}
	}
	return out.Bytes()
}
