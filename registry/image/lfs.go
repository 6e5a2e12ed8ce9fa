package image

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/davit-dev/davit/registry"
)

// lfsPointer begins every pointer file, https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md.
const lfsPointer = "version https://git-lfs.github.com/spec/"

var errLFS = errors.New("is a Git LFS pointer, not the content; commit the pointer and make its path the source")

// lfsFS is what a repository's files are when Git LFS may keep large ones elsewhere: at the server, with user and
// password if it wants them, or in the folder of objects that are here already. Either may be missing.
type lfsFS interface {
	LFS() (server *url.URL, objects string, err error)
}

// Pointer is a Git LFS pointer.
type Pointer struct {
	SHA256 string
	Size   int64
}

// ParsePointer reads a Git LFS pointer; ok is false for any other content.
func ParsePointer(data []byte) (p Pointer, ok bool) {
	if !bytes.HasPrefix(data, []byte(lfsPointer)) || len(data) > maxPointer {
		return p, false
	}
	sized := false
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch key {
		case "oid":
			p.SHA256, ok = strings.CutPrefix(value, "sha256:")
			if !ok || !sha256Hex.MatchString(p.SHA256) {
				return Pointer{}, false
			}
		case "size":
			size, err := strconv.ParseInt(value, 10, 64)
			if err != nil || size < 0 {
				return Pointer{}, false
			}
			p.Size, sized = size, true
		}
	}
	return p, p.SHA256 != "" && sized
}

// behind follows a pointer that lies in the repository; any other content is what r has.
func (s sources) behind(ctx context.Context, f registry.File, r io.ReadCloser) (io.ReadCloser, error) {
	head := bufio.NewReaderSize(r, maxPointer+1)
	data, _ := head.Peek(maxPointer + 1) // an error here comes again from Read
	pointer, ok := ParsePointer(data)
	if !ok {
		return struct {
			io.Reader
			io.Closer
		}{head, r}, nil
	}
	if err := r.Close(); err != nil {
		return nil, err
	}
	if f.Size < 0 {
		f.SHA256, f.Size = pointer.SHA256, pointer.Size
	}
	if pointer != (Pointer{f.SHA256, f.Size}) {
		return nil, contentErrorf("source %q is a Git LFS pointer to %d bytes of sha256 %s, the file says %d of %s; run davit add to write it anew",
			f.Source, pointer.Size, pointer.SHA256, f.Size, f.SHA256)
	}
	large, ok := s.fsys.(lfsFS)
	if !ok {
		return nil, contentErrorf("source %q is a Git LFS pointer, and its content is not here; run git lfs pull", f.Source)
	}
	server, objects, err := large.LFS()
	if err != nil {
		return nil, contentErrorf("source %q is a Git LFS pointer: %w", f.Source, err)
	}
	object, err := os.Open(filepath.Join(objects, f.SHA256[:2], f.SHA256[2:4], f.SHA256))
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return object, err
	}
	if server == nil {
		return nil, fmt.Errorf("source %q is a Git LFS pointer, its content is not in %s, and the repository has no http, https or ssh remote to ask; run git lfs pull", f.Source, objects)
	}
	return openResumed(ctx, f, lfsSource{s.lfsClient(), f, server}.connect)
}

// lfsClient is how a repository that says so itself has its LFS server reached: by its own authorities, proxy and
// credentials.
func (s sources) lfsClient() *http.Client {
	own, ok := s.fsys.(interface {
		LFSTransport(next http.RoundTripper) http.RoundTripper
	})
	if !ok {
		return s.cfg.HTTP
	}
	c := *s.cfg.HTTP
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	c.Transport = own.LFSTransport(c.Transport)
	return &c
}

// lfsSource is an object of an LFS server.
type lfsSource struct {
	client *http.Client
	file   registry.File
	server *url.URL
}

// lfsType is what the batch API speaks, https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md.
const lfsType = "application/vnd.git-lfs+json"

// connect asks anew for each connection where the object is: the answer may be valid for minutes only.
func (s lfsSource) connect(ctx context.Context, offset int64) (io.ReadCloser, int64, bool, error) {
	action, passing, err := s.batch(ctx)
	if err != nil {
		return nil, 0, passing, err
	}
	header := http.Header{}
	for key, value := range action.Header {
		header.Set(key, value)
	}
	return httpSource{s.client, s.file, action.Href, header}.connect(ctx, offset)
}

type lfsAction struct {
	Href   string            `json:"href"`
	Header map[string]string `json:"header"`
}

func (s lfsSource) batch(ctx context.Context) (action lfsAction, passing bool, err error) {
	type object struct {
		OID     string `json:"oid"`
		Size    int64  `json:"size"`
		Actions *struct {
			Download *lfsAction `json:"download"`
		} `json:"actions,omitempty"`
		Error *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error,omitempty"`
	}
	type batch struct {
		Operation string   `json:"operation,omitempty"`
		Transfers []string `json:"transfers,omitempty"`
		Objects   []object `json:"objects"`
	}
	asked, err := json.Marshal(batch{"download", []string{"basic"}, []object{{OID: s.file.SHA256, Size: s.file.Size}}})
	if err != nil {
		return action, false, err
	}
	endpoint := *s.server.JoinPath("objects/batch")
	endpoint.User = nil
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.String(), bytes.NewReader(asked))
	if err != nil {
		return action, false, err
	}
	req.Header.Set("Accept", lfsType)
	req.Header.Set("Content-Type", lfsType)
	if user := s.server.User; user != nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return action, true, err
	}
	defer resp.Body.Close()
	if code := resp.StatusCode; code != http.StatusOK {
		// That there is no LFS server, or none that shows itself to strangers, is the repository's set-up and not the commit.
		hint := ""
		if code == http.StatusNotFound || code == http.StatusUnauthorized || code == http.StatusForbidden {
			hint = "; it takes the credentials of the repository's own address"
		}
		return action, code >= 500 || code == http.StatusTooManyRequests, fmt.Errorf("asking the Git LFS server at %s for %s: %s%s", endpoint.Redacted(), s.file.Source, resp.Status, hint)
	}
	var answer batch
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&answer); err != nil {
		return action, true, fmt.Errorf("reading the answer of the Git LFS server at %s: %w", endpoint.Redacted(), err)
	}
	for _, o := range answer.Objects {
		switch {
		case o.OID != s.file.SHA256:
		case o.Error != nil && o.Error.Code == http.StatusNotFound:
			return action, false, contentErrorf("source %s: its content is not on the Git LFS server at %s; run git lfs push --all there", s.file.Source, endpoint.Redacted())
		case o.Error != nil:
			return action, o.Error.Code >= 500, fmt.Errorf("the Git LFS server at %s says of %s: %s (%d)", endpoint.Redacted(), s.file.Source, o.Error.Message, o.Error.Code)
		case o.Actions != nil && o.Actions.Download != nil:
			return *o.Actions.Download, false, nil
		}
	}
	return action, true, fmt.Errorf("the Git LFS server at %s does not say where %s is", endpoint.Redacted(), s.file.Source)
}
