package image

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/davit-dev/davit/registry"
)

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

// httpSource is a file at an http or https address.
type httpSource struct {
	client *http.Client
	file   registry.File
}

func (s httpSource) connect(ctx context.Context, offset int64) (body io.ReadCloser, passing bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.file.Source, nil)
	if err != nil {
		return nil, false, contentErrorf("source %s is not a valid address", redact(s.file.Source))
	}
	req.Header.Set("Accept-Encoding", "identity") // else Content-Length and bytes are those of the gzip
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, true, err
	}
	body = resp.Body
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && offset == s.file.Size {
		resp.Body.Close()
		return http.NoBody, false, nil // it broke after the last byte
	}
	if passing, err = s.accept(resp, offset); err != nil {
		resp.Body.Close()
		return nil, passing, err
	}
	return body, false, nil
}

func (s httpSource) accept(resp *http.Response, offset int64) (passing bool, err error) {
	where := redact(s.file.Source)
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		if n := resp.ContentLength; n >= 0 && s.file.Size >= 0 && n != s.file.Size && n > maxPointer {
			return false, contentErrorf("size is %d, the file says %d; run davit add to write it anew", n, s.file.Size)
		}
		_, err := io.CopyN(io.Discard, resp.Body, offset) // a server without ranges begins anew
		return true, err
	case code == http.StatusPartialContent && offset > 0:
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
