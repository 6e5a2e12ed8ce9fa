package image

import (
	"context"
	"io"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

// azureStore is a container of Azure Blob Storage.
type azureStore struct{ client *container.Client }

func (s azureStore) blob(o objectRef) (*blob.Client, error) {
	client := s.client.NewBlobClient(o.key)
	if o.version == "" {
		return client, nil
	}
	return client.WithVersionID(o.version)
}

// stat finds a version in accounts that keep them
// (https://learn.microsoft.com/azure/storage/blobs/versioning-overview), and never a sha256.
func (s azureStore) stat(ctx context.Context, o objectRef) (objectState, error) {
	client, err := s.blob(o)
	if err != nil {
		return objectState{}, err
	}
	props, err := client.GetProperties(ctx, nil)
	if err != nil {
		return objectState{}, err
	}
	state := objectState{tag: props.ETag, etag: str(props.ETag), version: str(props.VersionID), size: -1}
	if props.ContentLength != nil {
		state.size = *props.ContentLength
	}
	return state, nil
}

func (s azureStore) read(ctx context.Context, o objectRef, state objectState, offset int64) (io.ReadCloser, int64, error) {
	client, err := s.blob(o)
	if err != nil {
		return nil, 0, err
	}
	options := blob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: offset}}
	if tag, ok := state.tag.(*azcore.ETag); ok && tag != nil {
		options.AccessConditions = &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: tag}}
	}
	out, err := client.DownloadStream(ctx, &options)
	if err != nil {
		return nil, 0, err
	}
	return out.Body, wholeSize(out.ContentLength, offset), nil
}

func (s azureStore) list(ctx context.Context, o objectRef, token string) (page []listed, next string, err error) {
	options := container.ListBlobsFlatOptions{Prefix: &o.key}
	if token != "" {
		options.Marker = &token
	}
	out, err := s.client.NewListBlobsFlatPager(&options).NextPage(ctx)
	if err != nil {
		return nil, "", err
	}
	if out.Segment == nil {
		return nil, str(out.NextMarker), nil
	}
	for _, item := range out.Segment.BlobItems {
		l := listed{key: str(item.Name)}
		if p := item.Properties; p != nil {
			l.tag = strings.Trim(str(p.ETag), `"`)
			if p.ContentLength != nil {
				l.size = *p.ContentLength
			}
		}
		page = append(page, l)
	}
	return page, str(out.NextMarker), nil
}

func str[T ~string](p *T) string {
	if p == nil {
		return ""
	}
	return string(*p)
}
