package image

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/davit-dev/davit/registry"
)

// resolveWeb hashes what an address answers with.
func (s sources) resolveWeb(ctx context.Context, d registry.Dataset, f registry.File, secret Secret) (registry.Dataset, error) {
	page := webPage{client: s.cfg.HTTP, file: f, header: secret.header()}
	sum, err := readAnew(ctx, f, page.connect)
	d.SHA256 = sum
	return d, err
}

// webPage is content at an address that nothing is known of before. After a break it goes on only with what the server says
// is the same.
type webPage struct {
	client *http.Client
	file   registry.File
	header http.Header // credentials
	etag   string      // of the content whose reading began
}

func (p *webPage) connect(ctx context.Context, offset int64) (body io.ReadCloser, from int64, passing bool, err error) {
	if offset > 0 && !strong(p.etag) {
		return nil, 0, false, errMoved // perhaps: nothing tells
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.file.Source, nil)
	if err != nil {
		return nil, 0, false, contentErrorf("source %s is not a valid address", redact(p.file.Source))
	}
	for key, values := range p.header {
		req.Header[key] = values
	}
	req.Header.Set("Accept-Encoding", "identity") // else the bytes may be those of a gzip
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		req.Header.Set("If-Range", p.etag)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, 0, true, fmt.Errorf("reading %s: %w", redact(p.file.Source), withoutURL(err))
	}
	if passing, err = p.accept(resp, offset); err != nil {
		resp.Body.Close()
		return nil, 0, passing, err
	}
	p.etag = resp.Header.Get("ETag")
	return resp.Body, offset, false, nil
}

func (p *webPage) accept(resp *http.Response, offset int64) (passing bool, err error) {
	where := redact(p.file.Source)
	switch code := resp.StatusCode; {
	case offset > 0 && code == http.StatusPartialContent && resp.Header.Get("ETag") == p.etag &&
		strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", offset)):
		return false, nil
	case offset > 0 && (code == http.StatusOK || code == http.StatusPartialContent || code == http.StatusRequestedRangeNotSatisfiable):
		return false, errMoved
	case code != http.StatusOK:
		return refusal(p.file, resp)
	case resp.Header.Get("Content-Encoding") != "" && resp.Header.Get("Content-Encoding") != "identity":
		return false, contentErrorf("source %s comes encoded (%q), whatever it is asked for, and its bytes may be others each time; write the dataset's sha256",
			where, resp.Header.Get("Content-Encoding"))
	case isPage(resp) && !namesPage(p.file.Source):
		return false, contentErrorf("source %s answers with a web page, such as one to log in; correct the address, grant credentials, or write the dataset's sha256", where)
	}
	return false, nil
}

// strong says whether an ETag is of exactly these bytes, https://www.rfc-editor.org/rfc/rfc9110#section-8.8.1.
func strong(etag string) bool { return strings.HasPrefix(etag, `"`) }

func isPage(resp *http.Response) bool {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return kind == "text/html" || kind == "application/xhtml+xml"
}

func namesPage(source string) bool {
	u, err := url.Parse(source)
	return err == nil && strings.Contains(strings.ToLower(path.Ext(u.Path)), "htm")
}
