package image

import (
	"cmp"
	"context"
	"fmt"
	"net/url"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	"gocloud.dev/blob/azureblob" // azblob://container/key
	"gocloud.dev/blob/s3blob"    // s3://bucket/key
)

// bucket opens a bucket with a secret's credentials and none of the process's.
func (s Secret) bucket(ctx context.Context, u *url.URL) (*blob.Bucket, error) {
	if u.Scheme == "s3" {
		return s.s3Bucket(ctx, u.Host)
	}
	return s.azureBucket(ctx, u.Host)
}

func (s Secret) s3Bucket(ctx context.Context, name string) (*blob.Bucket, error) {
	if err := s.need("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"); err != nil {
		return nil, err
	}
	endpoint := s["AWS_ENDPOINT_URL"]
	client := s3.NewFromConfig(aws.Config{
		Region:                     cmp.Or(s["AWS_REGION"], "us-east-1"),
		Credentials:                credentials.NewStaticCredentialsProvider(s["AWS_ACCESS_KEY_ID"], s["AWS_SECRET_ACCESS_KEY"], s["AWS_SESSION_TOKEN"]),
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired, // sha256 is checked here
	}, func(o *s3.Options) {
		if endpoint != "" { // which has no host name for each bucket
			o.BaseEndpoint, o.UsePathStyle = &endpoint, true
		}
	})
	return s3blob.OpenBucket(ctx, client, name, nil)
}

func (s Secret) azureBucket(ctx context.Context, name string) (*blob.Bucket, error) {
	if err := s.need("AZURE_STORAGE_ACCOUNT"); err != nil {
		return nil, err
	}
	service, err := azureblob.NewServiceURL(&azureblob.ServiceURLOptions{
		AccountName: s["AZURE_STORAGE_ACCOUNT"], SASToken: s["AZURE_STORAGE_SAS_TOKEN"],
		StorageDomain: s["AZURE_STORAGE_DOMAIN"], Protocol: s["AZURE_STORAGE_PROTOCOL"],
	})
	if err != nil {
		return nil, err
	}
	address, err := url.Parse(string(service))
	if err != nil {
		return nil, fmt.Errorf("AZURE_STORAGE_DOMAIN is not a host name")
	}
	address = address.JoinPath(name)
	client, err := s.azureClient(address.String())
	if err != nil {
		return nil, err
	}
	return azureblob.OpenBucket(ctx, client, nil)
}

func (s Secret) azureClient(address string) (*container.Client, error) {
	if s["AZURE_STORAGE_SAS_TOKEN"] != "" {
		return container.NewClientWithNoCredential(address, nil)
	}
	if err := s.need("AZURE_STORAGE_KEY"); err != nil {
		return nil, err
	}
	key, err := container.NewSharedKeyCredential(s["AZURE_STORAGE_ACCOUNT"], s["AZURE_STORAGE_KEY"])
	if err != nil {
		return nil, fmt.Errorf("AZURE_STORAGE_KEY: %w", err)
	}
	return container.NewClientWithSharedKeyCredential(address, key, nil)
}

func (s Secret) need(keys ...string) error {
	for _, key := range keys {
		if s[key] == "" {
			return fmt.Errorf("the Secret has no key %s", key)
		}
	}
	return nil
}
