package image

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// s3Store is S3. Keys are sent as they are, which gocloud.dev's driver does not do to all.
type s3Store struct{ client *s3.Client }

// noVersion is what S3 calls the version of an object that has none, and which the next writer replaces: in a bucket
// without versions, or whose versions are suspended
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html).
const noVersion = "null"

func (s s3Store) stat(ctx context.Context, o objectRef) (objectState, error) {
	head, err := headS3(ctx, s.client, o)
	if err != nil {
		return objectState{}, err
	}
	state := objectState{size: wholeSize(head.ContentLength, 0), sha256: sha256OfS3(head)}
	if etag := aws.ToString(head.ETag); strong(etag) {
		state.etag = etag
	}
	if v := aws.ToString(head.VersionId); v != noVersion {
		state.version = v
	}
	return state, nil
}

func (s s3Store) read(ctx context.Context, o objectRef, state objectState, offset int64) (io.ReadCloser, int64, error) {
	in := s3.GetObjectInput{Bucket: &o.bucket, Key: &o.key}
	if o.version != "" {
		in.VersionId = &o.version
	}
	if state.etag != "" {
		in.IfMatch = &state.etag
	}
	if offset > 0 {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", offset))
	}
	out, err := s.client.GetObject(ctx, &in)
	if err != nil {
		return nil, 0, err
	}
	if offset > 0 && !strings.HasPrefix(aws.ToString(out.ContentRange), fmt.Sprintf("bytes %d-", offset)) {
		out.Body.Close()
		return nil, 0, fmt.Errorf("the store gave another part of the object than it was asked for")
	}
	return out.Body, wholeSize(out.ContentLength, offset), nil
}

// list goes by ETags: the versions of a folder's objects take another permission to list.
func (s s3Store) list(ctx context.Context, o objectRef, token string) (page []listed, next string, err error) {
	in := s3.ListObjectsV2Input{Bucket: &o.bucket, Prefix: &o.key}
	if token != "" {
		in.ContinuationToken = &token
	}
	out, err := s.client.ListObjectsV2(ctx, &in)
	if err != nil {
		return nil, "", err
	}
	for _, c := range out.Contents {
		page = append(page, listed{aws.ToString(c.Key), aws.ToInt64(c.Size), strings.Trim(aws.ToString(c.ETag), `"`)})
	}
	if aws.ToBool(out.IsTruncated) && aws.ToString(out.NextContinuationToken) == "" {
		return nil, "", fmt.Errorf("the store says that there are more objects, and not how to ask for them")
	}
	return page, aws.ToString(out.NextContinuationToken), nil
}

// wholeSize is that of an object whose rest, from an offset on, has so many bytes.
func wholeSize(rest *int64, offset int64) int64 {
	if rest == nil {
		return -1
	}
	return offset + *rest
}
