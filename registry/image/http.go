package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
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
	url    string
	header http.Header // credentials
}

// withinOrigin is a client that takes only what every request has to another host, or scheme, when it is sent on: net/http
// would let a subdomain have credentials, and storage that is reached by a signed address refuses a request that brings
// others. Nor does it tell where it came from: signatures are in queries.
func withinOrigin(client *http.Client) *http.Client {
	c := *client
	c.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return errors.New("stopped after 10 redirects")
		}
		req.Header.Del("Referer")
		if from := via[0].URL; req.URL.Host != from.Host || req.URL.Scheme != from.Scheme {
			plain := []string{"Accept", "Accept-Encoding", "Range"}
			maps.DeleteFunc(req.Header, func(key string, _ []string) bool { return !slices.Contains(plain, key) })
		}
		return nil
	}
	return &c
}

func (s httpSource) connect(ctx context.Context, offset int64) (body io.ReadCloser, from int64, passing bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, 0, false, contentErrorf("source %s is not a valid address", redact(s.file.Source))
	}
	for key, values := range s.header {
		req.Header[key] = values
	}
	req.Header.Set("Accept-Encoding", "identity") // else Content-Length and bytes are those of the gzip
	if offset > 0 {
		req.Header.Set("Range", s.rest(offset))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, 0, true, err
	}
	body = resp.Body
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && offset == s.file.Size {
		resp.Body.Close()
		return http.NoBody, offset, false, nil // it broke after the last byte
	}
	if passing, err = s.accept(resp, offset); err != nil {
		resp.Body.Close()
		return nil, 0, passing, err
	}
	if resp.StatusCode == http.StatusPartialContent {
		from = offset
	}
	return body, from, false, nil
}

// rest is the range from an offset on. It says its end where that is known: not every OCI registry takes one without.
func (s httpSource) rest(offset int64) string {
	if s.file.Size > offset {
		return fmt.Sprintf("bytes=%d-%d", offset, s.file.Size-1)
	}
	return fmt.Sprintf("bytes=%d-", offset)
}

func (s httpSource) accept(resp *http.Response, offset int64) (passing bool, err error) {
	switch resp.StatusCode {
	case http.StatusOK:
		if n := resp.ContentLength; n >= 0 && s.file.Size >= 0 && n != s.file.Size && n > maxPointer {
			return false, contentErrorf("size is %d, the file says %d; run davit add to write it anew", n, s.file.Size)
		}
		return false, nil // a server without ranges begins anew
	case http.StatusPartialContent:
		if offset > 0 {
			return false, nil
		}
	}
	return refusal(s.file, resp)
}

// refusal tells what the revision is to blame for from what passes.
func refusal(f registry.File, resp *http.Response) (passing bool, err error) {
	where := redact(f.Source)
	switch code := resp.StatusCode; {
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
