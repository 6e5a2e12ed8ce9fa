package image

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"gocloud.dev/blob"

	"github.com/davit-dev/davit/registry"
)

// objects lists the files below a folder of object storage, scheme://bucket/folder/, or the one object there is. Those
// whose sha256 the storage has bear it.
func (s sources) objects(ctx context.Context, source string) ([]registry.File, error) {
	if !strings.HasSuffix(source, "/") {
		plain := withoutVersion(source)
		return s.told(ctx, []registry.File{{Path: plain[strings.LastIndexByte(plain, '/')+1:], Source: source, Size: -1}})
	}
	scheme, rest, _ := strings.Cut(source, "://")
	bucket, prefix, _ := strings.Cut(rest, "/")
	if bucket == "" || strings.ContainsAny(bucket, "@:%#?") || strings.Contains(prefix, "?") {
		return nil, contentErrorf("source %s is not of the form %s", redact(source), "scheme://bucket/folder/")
	}
	var keys []string
	var err error
	if scheme == "gs" {
		keys, err = s.listGCS(ctx, bucket, prefix)
	} else {
		keys, err = s.listBucket(ctx, &url.URL{Scheme: scheme, Host: bucket}, prefix)
	}
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", redact(source), withoutURL(err))
	}
	var files []registry.File
	for _, key := range keys {
		if name := strings.TrimPrefix(key, prefix); name != "" && !strings.HasSuffix(name, "/") {
			files = append(files, registry.File{Path: name, Source: source + name, Size: -1})
		}
	}
	return s.told(ctx, files)
}

// lastName is what a file at an address is called; "" when the address names none.
func lastName(source string) string {
	u, err := url.Parse(source)
	if err != nil || u.Host == "" || strings.HasSuffix(u.Path, "/") {
		return ""
	}
	return path.Base(u.Path)
}

func (s sources) listBucket(ctx context.Context, u *url.URL, prefix string) (keys []string, err error) {
	bucket, err := s.bucket(ctx, u, nil)
	if err != nil {
		return nil, err
	}
	defer bucket.Close()
	for list := bucket.List(&blob.ListOptions{Prefix: prefix}); ; {
		object, err := list.Next(ctx)
		if err == io.EOF {
			return keys, nil
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, object.Key)
	}
}

// told adds the sizes and sha256 that S3 has of the objects of one bucket that were put with one, whole
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html).
func (s sources) told(ctx context.Context, files []registry.File) ([]registry.File, error) {
	if len(files) == 0 || !strings.HasPrefix(files[0].Source, "s3://") {
		return files, nil
	}
	o, err := objectPlace(files[0])
	if err != nil {
		return nil, err
	}
	bucket, err := s.bucket(ctx, &url.URL{Scheme: "s3", Host: o.bucket}, nil)
	if err != nil {
		return nil, err
	}
	defer bucket.Close()
	var client *s3.Client
	if !bucket.As(&client) {
		return files, nil
	}
	for i, f := range files {
		if o, err = objectPlace(f); err != nil {
			return nil, err
		}
		toldByS3(ctx, client, o, &files[i])
	}
	return files, nil
}

// toldByS3 leaves f as it is when S3 does not know, or something is wrong: opening the object will tell.
func toldByS3(ctx context.Context, client *s3.Client, o objectRef, f *registry.File) {
	head, err := headS3(ctx, client, o)
	if err != nil || head.ContentLength == nil {
		return
	}
	if sum := sha256OfS3(head); sum != "" {
		f.SHA256, f.Size = sum, *head.ContentLength
	}
}

func headS3(ctx context.Context, client *s3.Client, o objectRef) (*s3.HeadObjectOutput, error) {
	in := s3.HeadObjectInput{Bucket: &o.bucket, Key: &o.key, ChecksumMode: types.ChecksumModeEnabled}
	if o.version != "" {
		in.VersionId = &o.version
	}
	return client.HeadObject(ctx, &in)
}

// sha256OfS3 is what S3 knows of an object; "" when it does not. The checksum of an object in parts is a hash of hashes, and
// has their number at its end.
func sha256OfS3(head *s3.HeadObjectOutput) string {
	if head.ChecksumSHA256 == nil || head.ChecksumType == types.ChecksumTypeComposite {
		return ""
	}
	sum, err := base64.StdEncoding.DecodeString(*head.ChecksumSHA256)
	if err != nil || len(sum) != sha256.Size {
		return ""
	}
	return hex.EncodeToString(sum)
}

// listGCS asks the JSON API (https://cloud.google.com/storage/docs/json_api/v1/objects/list).
func (s sources) listGCS(ctx context.Context, bucket, prefix string) (keys []string, err error) {
	tokens, err := s.gcsTokens(ctx, nil)
	if err != nil {
		return nil, err
	}
	for page := ""; ; {
		address := s.gcs() + "/storage/v1/b/" + url.PathEscape(bucket) + "/o?prefix=" + url.QueryEscape(prefix) + "&pageToken=" + url.QueryEscape(page)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		if tokens != nil {
			token, err := tokens.Token()
			if err != nil {
				return nil, err
			}
			token.SetAuthHeader(req)
		}
		var list struct {
			Items []struct {
				Name string `json:"name"`
			} `json:"items"`
			NextPageToken string `json:"nextPageToken"`
		}
		if err := s.getJSON(req, &list); err != nil {
			return nil, err
		}
		for _, item := range list.Items {
			keys = append(keys, item.Name)
		}
		if page = list.NextPageToken; page == "" {
			return keys, nil
		}
	}
}

func (s sources) getJSON(req *http.Request, into any) error {
	resp, err := s.cfg.HTTP.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	err = errors.New(resp.Status)
	if resp.StatusCode == http.StatusOK {
		err = json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(into)
	}
	return errors.Join(err, resp.Body.Close())
}
