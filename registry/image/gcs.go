package image

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/davit-dev/davit/registry"
)

// gcsScope is all that reading takes.
const gcsScope = "https://www.googleapis.com/auth/devstorage.read_only"

// openGCS reads an object through the JSON API of Google Cloud Storage
// (https://cloud.google.com/storage/docs/json_api/v1/objects/get). The provider's own client, and gocloud.dev's driver over
// it, bring gRPC and Envoy's protobufs along: 24 MB of program and 22 MiB of resident memory, for one GET.
func (s sources) openGCS(ctx context.Context, f registry.File, secret Secret) (io.ReadCloser, error) {
	o, err := objectPlace(f)
	if err != nil {
		return nil, err
	}
	tokens, err := s.gcsTokens(ctx, secret)
	if err != nil {
		return nil, fmt.Errorf("credentials for %s: %w", redact(f.Source), err)
	}
	address := s.gcsObject(o) + "?alt=media"
	if o.version != "" {
		address += "&generation=" + o.version
	}
	return openResumed(ctx, f, func(ctx context.Context, offset int64) (io.ReadCloser, int64, bool, error) {
		header := http.Header{}
		if tokens != nil {
			token, err := tokens.Token()
			if err != nil {
				return nil, 0, true, fmt.Errorf("credentials for %s: %w", redact(f.Source), err)
			}
			header.Set("Authorization", token.Type()+" "+token.AccessToken)
		}
		return httpSource{s.cfg.HTTP, f, address, header}.connect(ctx, offset)
	})
}

func (s sources) gcsObject(o objectRef) string {
	return s.gcs() + "/storage/v1/b/" + url.PathEscape(o.bucket) + "/o/" + url.PathEscape(o.key)
}

func (s sources) gcs() string { return cmp.Or(s.cfg.GCSEndpoint, "https://storage.googleapis.com") }

// gcsTokens are a service account's, or the process's own (https://cloud.google.com/docs/authentication/application-default-credentials);
// nil where there are none: buckets may be public.
func (s sources) gcsTokens(ctx context.Context, secret Secret) (oauth2.TokenSource, error) {
	if len(secret) > 0 {
		if err := secret.need("credentials.json"); err != nil {
			return nil, err
		}
		creds, err := google.CredentialsFromJSONWithType(ctx, []byte(secret["credentials.json"]), google.ServiceAccount, gcsScope)
		if err != nil {
			return nil, fmt.Errorf("credentials.json: %w", err)
		}
		return creds.TokenSource, nil
	}
	if s.cfg.GCSEndpoint != "" {
		return nil, nil
	}
	if creds, err := google.FindDefaultCredentials(ctx, gcsScope); err == nil {
		return creds.TokenSource, nil
	}
	return nil, nil
}
