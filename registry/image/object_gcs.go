package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"golang.org/x/oauth2"
)

// gcsStore is Google Cloud Storage. Each object has a generation, also in buckets that keep no old ones
// (https://cloud.google.com/storage/docs/metadata#generation-number).
type gcsStore struct {
	sources
	tokens oauth2.TokenSource // nil for public buckets
}

type gcsObject struct {
	Name       string `json:"name"`
	Size       string `json:"size"`
	Generation string `json:"generation"`
}

func (s gcsStore) stat(ctx context.Context, o objectRef) (objectState, error) {
	address := s.gcsObject(o)
	if o.version != "" {
		address += "?generation=" + o.version
	}
	var object gcsObject
	if err := s.ask(ctx, address, &object); err != nil {
		return objectState{}, err
	}
	size, err := strconv.ParseInt(object.Size, 10, 64)
	if err != nil || !generation.MatchString(object.Generation) {
		return objectState{}, errors.New("the store tells neither size nor generation")
	}
	return objectState{size: size, version: object.Generation}, nil
}

// read is not called: what has a version is not read to know it, and openGCS reads versions.
func (s gcsStore) read(context.Context, objectRef, objectState, int64) (io.ReadCloser, int64, error) {
	return nil, 0, errors.ErrUnsupported
}

func (s gcsStore) list(ctx context.Context, o objectRef, token string) (page []listed, next string, err error) {
	address := s.gcs() + "/storage/v1/b/" + url.PathEscape(o.bucket) + "/o?prefix=" + url.QueryEscape(o.key)
	if token != "" {
		address += "&pageToken=" + url.QueryEscape(token)
	}
	var list struct {
		Items         []gcsObject `json:"items"`
		NextPageToken string      `json:"nextPageToken"`
	}
	if err := s.ask(ctx, address, &list); err != nil {
		return nil, "", err
	}
	for _, item := range list.Items {
		size, err := strconv.ParseInt(item.Size, 10, 64)
		if err != nil || item.Generation == "" {
			return nil, "", fmt.Errorf("the store tells neither size nor generation of %q", item.Name)
		}
		page = append(page, listed{item.Name, size, item.Generation})
	}
	return page, list.NextPageToken, nil
}

func (s gcsStore) ask(ctx context.Context, address string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	if s.tokens != nil {
		token, err := s.tokens.Token()
		if err != nil {
			return fmt.Errorf("credentials: %w", withoutURL(err))
		}
		token.SetAuthHeader(req)
	}
	resp, err := s.cfg.HTTP.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return &statusError{code: resp.StatusCode, text: resp.Status}
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(into); err != nil {
		return fmt.Errorf("reading the store's answer: %w", err)
	}
	return nil
}
