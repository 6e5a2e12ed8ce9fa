package image

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // azblob://container/key
	_ "gocloud.dev/blob/gcsblob"   // gs://bucket/key
	_ "gocloud.dev/blob/s3blob"    // s3://bucket/key
	"gocloud.dev/gcerrors"

	"github.com/davit-dev/davit/registry"
)

// openObject opens an object of S3, Google Cloud Storage or Azure Blob Storage. Credentials, region and endpoint are those
// of the provider's own tools: AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3 and so on, STORAGE_EMULATOR_HOST, AZURE_STORAGE_ACCOUNT.
func (s sources) openObject(ctx context.Context, f registry.File) (io.ReadCloser, error) {
	u, err := url.Parse(f.Source)
	key := ""
	if err == nil {
		key = strings.TrimPrefix(u.Path, "/")
	}
	if err != nil || u.Host == "" || key == "" || u.RawQuery != "" || u.User != nil {
		return nil, contentErrorf("source %s is not of the form %s", redact(f.Source), "scheme://bucket/key")
	}
	bucket, err := blob.OpenBucket(ctx, s.bucketURL(u))
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", redact(f.Source), err)
	}
	r, err := openResumed(ctx, f, func(ctx context.Context, offset int64) (io.ReadCloser, bool, error) {
		body, err := bucket.NewRangeReader(ctx, key, offset, -1, nil)
		if err != nil {
			passing, err := objectError(f, err)
			return nil, passing, err
		}
		if n := body.Size(); f.Size >= 0 && n != f.Size && n > maxPointer { // of the whole object, whatever the range
			body.Close()
			return nil, false, contentErrorf("size is %d, the file says %d; run davit add to write it anew", n, f.Size)
		}
		return body, false, nil
	})
	if err != nil {
		bucket.Close()
		return nil, err
	}
	return &object{r, bucket}, nil
}

// bucketURL names a bucket as blob.OpenBucket takes it. The provider's own checksums are not asked for: sha256 is
// checked here, and the SDK would warn of each object that has none.
func (s sources) bucketURL(u *url.URL) string {
	query := ""
	if u.Scheme == "s3" {
		query = fmt.Sprintf("?response_checksum_validation=when_required&use_path_style=%t", s.pathStyle)
	}
	return u.Scheme + "://" + u.Host + query
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
