package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"unicode"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/davit-dev/davit/registry"
)

// sources opens the files of a version.
type sources struct {
	fsys   fs.FS // of the repository
	access Access
	cfg    *Config
	oci    []remote.Option // how OCI registries are reached
	images *sync.Map       // by reference: those that were looked at, so that each is once for all of its files
}

// open opens a file's source. What is the revision's own fault is a *ContentError.
func (s sources) open(ctx context.Context, f registry.File) (io.ReadCloser, error) {
	scheme, _, ok := strings.Cut(f.Source, "://")
	if !ok {
		r, err := openRepository(s.fsys, f)
		if err != nil {
			return nil, err
		}
		return s.behind(ctx, f, r)
	}
	secret, err := s.secret(ctx, f)
	if err != nil {
		return nil, err
	}
	switch strings.ToLower(scheme) {
	case "http", "https":
		return openResumed(ctx, f, httpSource{s.cfg.HTTP, f, f.Source, secret.header()}.connect)
	case "gs":
		return s.openGCS(ctx, f, secret)
	case "s3", "azblob":
		return s.openObject(ctx, f, secret)
	case "hf":
		return s.openHub(ctx, f, secret)
	case "oci":
		return s.openOCI(ctx, f, secret)
	}
	return nil, contentErrorf("source %s: scheme %q is not supported; use a path in the repository, or an https://, s3://, gs://, azblob://, hf:// or oci:// address",
		redact(f.Source), scheme)
}

func (s sources) secret(ctx context.Context, f registry.File) (Secret, error) {
	if s.access == nil {
		return nil, nil
	}
	secret, err := s.access(ctx, withoutVersion(f.Source))
	if err != nil {
		return nil, fmt.Errorf("credentials for %s: %w", redact(f.Source), err)
	}
	return secret, nil
}

// openRepository opens a regular file of the repository. No symlinks, not even in parent folders: the tree
// may be a worktree, where they lead anywhere.
func openRepository(fsys fs.FS, f registry.File) (io.ReadCloser, error) {
	name := f.Source
	if !fs.ValidPath(name) || name == "." || strings.ContainsRune(name, '\\') {
		return nil, contentErrorf("source %q is not a path from the repository's root, without \"..\"", name)
	}
	for i := range len(name) + 1 {
		if i < len(name) && name[i] != '/' {
			continue
		}
		info, err := fs.Lstat(fsys, name[:i])
		if errors.Is(err, fs.ErrNotExist) {
			return nil, contentErrorf("source %q does not exist in the repository; commit it or correct the path", name)
		}
		if err != nil {
			return nil, fmt.Errorf("reading source %q: %w", name, err)
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return nil, contentErrorf("source %q: %s is a symbolic link, which is not followed; name the file itself", name, name[:i])
		}
		if i == len(name) && !info.Mode().IsRegular() {
			return nil, contentErrorf("source %q is not a file", name)
		}
	}
	r, err := fsys.Open(name)
	if errors.Is(err, syscall.EFBIG) {
		return nil, contentErrorf("source %q is larger than davit reads from Git; keep it in Git LFS or in object storage", name)
	}
	if err != nil {
		return nil, fmt.Errorf("opening source %q: %w", name, err)
	}
	return r, nil
}

// Redact is a source for people to read, without user, password and query: signatures are in queries.
func Redact(source string) string { return redact(source) }

// redact is a source for people to read, without user, password and query: signatures are in queries. An object's version
// is none.
func redact(source string) string {
	if _, ok := parseObject(source); ok && !strings.ContainsFunc(source, unicode.IsControl) {
		return source
	}
	u, err := url.Parse(source)
	if scheme, _, ok := strings.Cut(source, "://"); err != nil && ok && !strings.ContainsFunc(scheme, unicode.IsControl) {
		return scheme + "://…"
	}
	if err != nil {
		return "…"
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	if u.RawQuery != "" {
		u.RawQuery = "…"
	}
	return u.String()
}

// withoutURL takes a client's error out of the *url.Error, whose text has the address as it was sent.
func withoutURL(err error) error {
	var e *url.Error
	for errors.As(err, &e) {
		err = e.Err
	}
	return err
}
