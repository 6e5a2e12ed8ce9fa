package image

import (
	"context"
	"net/http"
)

// Secret is what a Secret holds for the sources of a prefix, by key. Which keys count depends on the scheme:
//
//	http, https, oci  username and password, or token (a bearer token)
//	hf                token; HF_ENDPOINT
//	s3                AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY; AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL
//	gs                credentials.json, a service account's key
//	azblob            AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN; AZURE_STORAGE_DOMAIN, AZURE_STORAGE_PROTOCOL
type Secret map[string]string

// Access gives the Secret that goes with a source, or nil: then the credentials are those of the process, from its
// environment and its cloud. It is asked each time a source is opened, so that a new Secret counts at once.
type Access func(ctx context.Context, source string) (Secret, error)

func (s Secret) header() http.Header {
	h := http.Header{}
	r := http.Request{Header: h}
	if token := s["token"]; token != "" {
		h.Set("Authorization", "Bearer "+token)
	} else if s["username"] != "" || s["password"] != "" {
		r.SetBasicAuth(s["username"], s["password"])
	}
	return h
}
