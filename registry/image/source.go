package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/davit-dev/davit/registry"
)

const (
	retries = 2 // of one file's connection, after the first try
	// stalled is how long a source may send nothing before its connection counts as broken.
	stalled = time.Minute
)

var (
	backoff    = 500 * time.Millisecond // doubled at each retry
	errStalled = fmt.Errorf("nothing received for %v", stalled)
)

// sources opens the files of a version.
type sources struct {
	fsys fs.FS // of the repository
	http *http.Client
}

// newHTTPClient has a limit for each step but none for the body: weights take hours on slow lines.
func newHTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		IdleConnTimeout:       90 * time.Second,
		ForceAttemptHTTP2:     true,
	}}
}

// open opens a file's source. What is the revision's own fault is a *ContentError.
func (s sources) open(ctx context.Context, f registry.File) (io.ReadCloser, error) {
	scheme, _, ok := strings.Cut(f.Source, "://")
	if !ok {
		return openRepository(s.fsys, f)
	}
	switch strings.ToLower(scheme) {
	case "http", "https":
		return openHTTP(ctx, s.http, f)
	}
	return nil, contentErrorf("source %s: scheme %q is not supported; use a path in the repository or an https:// address",
		redact(f.Source), scheme)
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
	if err != nil {
		return nil, fmt.Errorf("opening source %q: %w", name, err)
	}
	return r, nil
}

// httpReader reads a URL and goes on where it was when the connection breaks. That what it joins belongs
// together is shown by the sha256 in the end.
type httpReader struct {
	ctx    context.Context // of this reading: an io.Reader gets none
	cancel context.CancelFunc
	client *http.Client
	file   registry.File

	body    io.ReadCloser
	abort   context.CancelFunc // of the present connection
	offset  int64
	retried int
}

func openHTTP(ctx context.Context, client *http.Client, f registry.File) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	r := &httpReader{ctx: ctx, cancel: cancel, client: client, file: f}
	if err := r.connectAgain(nil); err != nil {
		cancel()
		return nil, err
	}
	return r, nil
}

// Close may be called while Read is running, so it leaves the body to the canceled context.
func (r *httpReader) Close() error { r.cancel(); return nil }

func (r *httpReader) Read(p []byte) (int, error) {
	timer := time.AfterFunc(stalled, r.abort)
	n, err := r.body.Read(p)
	if !timer.Stop() && err != nil {
		err = errStalled
	}
	r.offset += int64(n)
	if err == nil || err == io.EOF || r.ctx.Err() != nil {
		return n, err
	}
	if err := r.connectAgain(err); err != nil {
		return n, err
	}
	return n, nil
}

// connectAgain connects, at the offset, until it succeeds, fails for good or was tried often enough.
func (r *httpReader) connectAgain(err error) error {
	for {
		if err != nil {
			if r.retried == retries {
				return fmt.Errorf("reading %s, after %d retries: %w", redact(r.file.Source), retries, withoutURL(err))
			}
			if err := sleep(r.ctx, backoff<<r.retried); err != nil {
				return err
			}
			r.retried++
		}
		var passing bool
		if passing, err = r.connect(); err == nil || !passing {
			return err
		}
	}
}

// connect sends one request. An error is passing when another try may help.
func (r *httpReader) connect() (passing bool, err error) {
	if r.body != nil {
		r.abort()
		r.body.Close()
	}
	ctx, abort := context.WithCancel(r.ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.file.Source, nil)
	if err != nil {
		abort()
		return false, contentErrorf("source %s is not a valid address", redact(r.file.Source))
	}
	req.Header.Set("Accept-Encoding", "identity") // else Content-Length and bytes are those of the gzip
	if r.offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", r.offset))
	}
	resp, err := r.client.Do(req)
	if err != nil {
		abort()
		return r.ctx.Err() == nil, err
	}
	r.body, r.abort = resp.Body, abort
	passing, err = r.accept(resp)
	if err != nil {
		abort()
		resp.Body.Close()
	}
	return passing, err
}

func (r *httpReader) accept(resp *http.Response) (passing bool, err error) {
	where := redact(r.file.Source)
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		if n := resp.ContentLength; n >= 0 && n != r.file.Size && n > maxPointer {
			return false, contentErrorf("size is %d, the file says %d; run davit add to write it anew", n, r.file.Size)
		}
		_, err := io.CopyN(io.Discard, resp.Body, r.offset) // a server without ranges begins anew
		return true, err
	case code == http.StatusPartialContent && r.offset > 0:
		return false, nil
	case code == http.StatusRequestedRangeNotSatisfiable && r.offset == r.file.Size:
		resp.Body.Close()
		r.body = http.NoBody // it broke after the last byte
		return false, nil
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
		return true, fmt.Errorf("reading %s: %s", where, resp.Status)
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusProxyAuthRequired:
		// Expired credentials pass, and are not what the commit changed.
		return false, fmt.Errorf("reading %s: %s", where, resp.Status)
	}
	return false, contentErrorf("source %s: %s; correct the address or put the file there", where, resp.Status)
}

// maxPointer is more than a Git LFS pointer has; up to it the content is looked at before its length is.
const maxPointer = 1024

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// redact is a source for people to read, without user, password and query: signatures are in queries.
func redact(source string) string {
	u, err := url.Parse(source)
	if err != nil {
		scheme, _, _ := strings.Cut(source, "://")
		return scheme + "://…"
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
