package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"

	"gocloud.dev/blob"

	"github.com/davit-dev/davit/registry"
)

// objectPlace takes scheme://bucket/key apart.
func objectPlace(f registry.File) (objectRef, error) {
	o, ok := parseObject(f.Source)
	if !ok || o.key == "" {
		return o, contentErrorf("source %s is not of the form %s", redact(f.Source), "scheme://bucket/key")
	}
	return o, nil
}

// openObject opens an object of S3 or Azure Blob Storage. Without a secret, credentials, region and endpoint are those of
// the provider's own tools: AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3 and so on, AZURE_STORAGE_ACCOUNT.
func (s sources) openObject(ctx context.Context, f registry.File, secret Secret) (io.ReadCloser, error) {
	o, err := objectPlace(f)
	if err != nil {
		return nil, err
	}
	store, closeStore, err := s.store(ctx, o, secret)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", redact(f.Source), err)
	}
	r, err := openResumed(ctx, f, func(ctx context.Context, offset int64) (io.ReadCloser, int64, bool, error) {
		body, size, err := store.read(ctx, o, objectState{}, offset)
		if err != nil {
			passing, err := storeError(f, err)
			return nil, 0, passing, err
		}
		if f.Size >= 0 && size >= 0 && size != f.Size && size > maxPointer {
			body.Close()
			return nil, 0, false, contentErrorf("size is %d, the file says %d; run davit add to write it anew", size, f.Size)
		}
		return body, offset, false, nil
	})
	if err != nil {
		return nil, errors.Join(err, closeStore())
	}
	return &object{r, closeStore}, nil
}

func (s sources) bucket(ctx context.Context, u *url.URL, secret Secret) (*blob.Bucket, error) {
	if len(secret) > 0 {
		return secret.bucket(ctx, u)
	}
	query := ""
	if u.Scheme == "s3" {
		// The provider's own checksums are not asked for: sha256 is checked here, and the SDK would warn of each object that
		// has none.
		query = fmt.Sprintf("?response_checksum_validation=when_required&use_path_style=%t", s.cfg.S3PathStyle)
	}
	return blob.OpenBucket(ctx, u.Scheme+"://"+u.Host+query)
}

// object is an object being read, and what is to be closed after it.
type object struct {
	io.ReadCloser
	behind func() error
}

func (o *object) Close() error { return errors.Join(o.ReadCloser.Close(), o.behind()) }
