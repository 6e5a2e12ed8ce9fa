package image

import (
	"context"
	"fmt"
	"io"
	"net/url"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

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
	if o.version != "" {
		return s.openVersion(ctx, f, o, secret)
	}
	bucket, err := s.bucket(ctx, &url.URL{Scheme: o.scheme, Host: o.bucket}, secret)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", redact(f.Source), err)
	}
	r, err := openResumed(ctx, f, func(ctx context.Context, offset int64) (io.ReadCloser, int64, bool, error) {
		body, err := bucket.NewRangeReader(ctx, o.key, offset, -1, nil)
		if err != nil {
			passing, err := objectError(f, err)
			return nil, 0, passing, err
		}
		if n := body.Size(); f.Size >= 0 && n != f.Size && n > maxPointer { // of the whole object, whatever the range
			body.Close()
			return nil, 0, false, contentErrorf("size is %d, the file says %d; run davit add to write it anew", n, f.Size)
		}
		return body, offset, false, nil
	})
	if err != nil {
		bucket.Close()
		return nil, err
	}
	return &object{r, bucket}, nil
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

// objectError tells what the revision is to blame for from what passes.
func objectError(f registry.File, err error) (passing bool, _ error) {
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return false, contentErrorf("source %s does not exist; correct the address or put the object there", redact(f.Source))
	case gcerrors.InvalidArgument:
		return false, contentErrorf("source %s: %v", redact(f.Source), err)
	case gcerrors.PermissionDenied: // expired credentials pass, and are not what the commit changed
		return false, fmt.Errorf("reading %s: %w", redact(f.Source), err)
	}
	return true, fmt.Errorf("reading %s: %w", redact(f.Source), err)
}

// object is an object being read, and its bucket.
type object struct {
	io.ReadCloser
	bucket *blob.Bucket
}

func (o *object) Close() error {
	err := o.ReadCloser.Close()
	if closeErr := o.bucket.Close(); err == nil {
		err = closeErr
	}
	return err
}
