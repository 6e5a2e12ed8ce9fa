package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// refusesChunks says that an OCI registry does not take a blob by PATCH: it wants it in one PUT that names the digest.
func refusesChunks(err error) bool {
	e, ok := errors.AsType[*transport.Error](err)
	if !ok || e.Request == nil || e.Request.Method != http.MethodPatch {
		return false
	}
	switch e.StatusCode {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType, http.StatusNotImplemented:
		return true
	}
	for _, d := range e.Errors {
		if d.Code == transport.UnsupportedErrorCode {
			return true
		}
	}
	return false
}

// putTries is how often a blob is sent whole before the OCI registry's trouble is told.
const putTries = 3

// putWhole uploads a blob in one request. Its digest must be known first, so a file is read twice: once for that, and
// once to send it.
func (u *upload) putWhole(ctx context.Context, blob v1.Layer) error {
	digest, err := digestOf(blob)
	if err != nil {
		return err
	}
	client, err := u.client(ctx)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		err = putBlob(ctx, client, u.repo, blob, digest)
		e, answered := errors.AsType[*transport.Error](err)
		if err == nil || try == putTries || answered && !e.Temporary() || ctx.Err() != nil {
			return err
		}
		if l, ok := blob.(*layer); ok && l.fault() != nil {
			return err
		}
		if err := sleep(ctx, backoff<<try); err != nil {
			return err
		}
	}
}

func digestOf(blob v1.Layer) (v1.Hash, error) {
	digest, err := blob.Digest()
	if err == nil {
		return digest, nil
	}
	open := blob.Compressed
	if l, ok := blob.(*layer); ok { // nothing is uploaded by this reading, and the next one tells of its progress
		open = func() (io.ReadCloser, error) { return l.reading(nil, nil) }
	}
	r, err := open()
	if err != nil {
		return digest, err
	}
	_, err = io.Copy(io.Discard, r)
	if err := errors.Join(err, r.Close()); err != nil {
		return digest, err
	}
	return blob.Digest()
}

func (u *upload) client(ctx context.Context) (*http.Client, error) {
	auth, err := authn.Resolve(ctx, u.builder.cfg.Keychain, u.repo)
	if err != nil {
		return nil, err
	}
	t, err := transport.NewWithContext(ctx, u.repo.Registry, auth, u.builder.cfg.Transport, []string{u.repo.Scope(transport.PushScope)})
	return &http.Client{Transport: t}, err
}

// putBlob is POST, then PUT: OCI distribution spec, "Pushing a blob monolithically".
func putBlob(ctx context.Context, client *http.Client, repo name.Repository, blob v1.Layer, digest v1.Hash) error {
	blobs := url.URL{Scheme: repo.Scheme(), Host: repo.RegistryStr(), Path: "/v2/" + repo.RepositoryStr() + "/blobs/"}
	answer, err := request(ctx, client, http.MethodHead, blobs.JoinPath(digest.String()), nil, 0)
	if err != nil {
		return err
	}
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	if answer, err = request(ctx, client, http.MethodPost, blobs.JoinPath("uploads/"), nil, 0); err != nil {
		return err
	}
	if err := transport.CheckError(answer, http.StatusAccepted); err != nil {
		return err
	}
	to, err := answer.Request.URL.Parse(answer.Header.Get("Location"))
	if err != nil {
		return fmt.Errorf("the OCI registry names no place to upload to: %w", err)
	}
	query := to.Query()
	query.Set("digest", digest.String())
	to.RawQuery = query.Encode()
	size, err := blob.Size()
	if err != nil {
		return err
	}
	body, err := blob.Compressed()
	if err != nil {
		return err
	}
	defer body.Close()
	if answer, err = request(ctx, client, http.MethodPut, to, body, size); err != nil {
		return err
	}
	return transport.CheckError(answer, http.StatusCreated)
}

func request(ctx context.Context, client *http.Client, method string, to *url.URL, body io.Reader, size int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, to.String(), body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.ContentLength = size
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	answer, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	// Errors are short; what they say is read by CheckError.
	data, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(data))
	return answer, nil
}
