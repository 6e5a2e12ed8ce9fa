package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/davit-dev/davit/registry"
)

// objectStore is a bucket as far as it tells what there is at this moment. Its errors are the provider's; see storeError.
type objectStore interface {
	// stat tells of an object, or of one version of it.
	stat(ctx context.Context, o objectRef) (objectState, error)
	// read gives the content from an offset on, and the size of all of it, -1 when that is not told. With a state it has to
	// be the content that was told of.
	read(ctx context.Context, o objectRef, state objectState, offset int64) (body io.ReadCloser, size int64, err error)
	// list gives a page of what lies below a folder, and the token of the next one; the first has "", and so has
	// the one after the last.
	list(ctx context.Context, o objectRef, token string) (page []listed, next string, err error)
}

// objectState is an object at one moment.
type objectState struct {
	size    int64
	version string // which names this content for ever; "" where the store keeps none
	sha256  string // of all of the content; "" where the store does not know
	etag    string // another one when the content is another
	tag     any    // the etag as the provider's client wants it back
}

// listed is an object in a listing. Another tag means that it was written since.
type listed struct {
	key  string
	size int64
	tag  string
}

// store reaches the bucket of an object; close is to be called in the end.
func (s sources) store(ctx context.Context, o objectRef, secret Secret) (store objectStore, close func() error, err error) {
	if o.scheme == "gs" {
		tokens, err := s.gcsTokens(ctx, secret)
		return gcsStore{s, tokens}, func() error { return nil }, err
	}
	bucket, err := s.bucket(ctx, &url.URL{Scheme: o.scheme, Host: o.bucket}, secret)
	if err != nil {
		return nil, nil, err
	}
	var aws *s3.Client
	var azure *container.Client
	switch {
	case bucket.As(&aws):
		return s3Store{aws}, bucket.Close, nil
	case bucket.As(&azure):
		return azureStore{azure}, bucket.Close, nil
	}
	return nil, nil, errors.Join(fmt.Errorf("the client of %s:// buckets is not known here", o.scheme), bucket.Close())
}

// errMoved says that an object is not the one any more whose reading began.
var errMoved = errors.New("changed while it was read")

// storeError tells what the revision is to blame for from what passes, as refusal does of answers by HTTP.
func storeError(f registry.File, err error) (passing bool, _ error) {
	status, text, hint := 0, withoutURL(err), ""
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		status = e.HTTPStatusCode()
	} else if e, ok := errors.AsType[*azcore.ResponseError](err); ok { // its own text has 9 lines
		status, text = e.StatusCode, fmt.Errorf("%d %s", e.StatusCode, e.ErrorCode)
	} else if e, ok := errors.AsType[*statusError](err); ok {
		status, hint = e.code, e.hint
	}
	where := redact(f.Source)
	switch {
	case errors.Is(err, errMoved):
		return false, errMoved
	case status == http.StatusPreconditionFailed:
		return false, errMoved
	case status == http.StatusNotFound, status == http.StatusGone:
		return false, contentErrorf("source %s does not exist; correct the address or put the data there%s", where, hint)
	case status == http.StatusBadRequest, status == http.StatusMethodNotAllowed: // a version that is none, or a deletion
		return false, contentErrorf("source %s: %w; correct the address", where, text)
	case status == http.StatusUnauthorized, status == http.StatusForbidden: // expired credentials pass, and are not what the commit changed
		return false, fmt.Errorf("reading %s: %w; it takes credentials that may read it", where, text)
	}
	return true, fmt.Errorf("reading %s: %w", where, text)
}

// statusError is an answer that is none of those asked for.
type statusError struct {
	code int
	text string
	hint string // what helps; may be empty
}

func (e *statusError) Error() string { return e.text }
