package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/davit-dev/davit/registry"
)

// resolveHub gives the commit that a revision stands for; main without one. A path must be there at that commit.
func (s sources) resolveHub(ctx context.Context, d registry.Dataset, f registry.File, secret Secret) (registry.Dataset, error) {
	p, err := parseHub(d.URI)
	if err != nil {
		return d, err
	}
	h := s.hub(secret)
	pinned := commitHex.MatchString(p.revision)
	err = asked(ctx, f, func(ctx context.Context) error {
		p.revision, err = h.commit(ctx, p)
		if err == nil && p.file != "" {
			d.SHA256, err = h.lookUp(ctx, p)
		}
		return err
	})
	if err == nil && !pinned {
		d.URI = p.String()
	}
	return d, err
}

// lookUp makes sure that a path is there at a commit, and gives the sha256 of a large file
// (https://huggingface.co/docs/hub/api, paths-info).
func (h hub) lookUp(ctx context.Context, p hubPlace) (sha256 string, err error) {
	form := url.Values{"paths": {p.file}, "expand": {"false"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.api(p)+"/paths-info/"+p.revision, strings.NewReader(form.Encode()))
	if err != nil {
		return "", fmt.Errorf("the hub's address is not valid")
	}
	for key, values := range h.header {
		req.Header[key] = values
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := h.client.Do(req)
	if err != nil {
		return "", withoutURL(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", h.refused(req, resp)
	}
	var entries []struct {
		Path string `json:"path"`
		LFS  *struct {
			OID string `json:"oid"`
		} `json:"lfs"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&entries); err != nil {
		return "", fmt.Errorf("reading the hub's answer: %w", err)
	}
	for _, e := range entries {
		if e.Path != p.file {
			continue
		}
		if e.LFS == nil {
			return "", nil
		}
		if sha256 = strings.TrimPrefix(e.LFS.OID, "sha256:"); !sha256Hex.MatchString(sha256) {
			return "", errors.New("the hub tells a sha256 that is none")
		}
		return sha256, nil
	}
	return "", &statusError{code: http.StatusNotFound}
}
