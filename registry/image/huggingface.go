package image

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/davit-dev/davit/registry"
)

// hub is a Hugging Face Hub: https://huggingface.co/docs/hub/api.
type hub struct {
	client   *http.Client
	endpoint string
	header   http.Header
}

// hubPlace is hf://org/repo@revision/path, or without the path all of the repository; hf://datasets/org/repo@revision/path
// is that of a dataset.
type hubPlace struct {
	kind                 string // "datasets/", or "" for models
	repo, revision, file string
}

func (p hubPlace) String() string {
	text := "hf://" + p.kind + p.repo
	if p.revision != "" {
		text += "@" + p.revision
	}
	if p.file != "" {
		text += "/" + p.file
	}
	return text
}

var (
	hubRepo = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$`)
	// hubRefs are the revisions with slashes: of pull requests, and of what the hub converts.
	hubRefs = regexp.MustCompile(`^(refs/(?:convert/[A-Za-z0-9_]+|pr/[0-9]+))(?:/(.*))?$`)
)

func parseHub(source string) (p hubPlace, err error) {
	_, rest, _ := strings.Cut(source, "://")
	if below, ok := strings.CutPrefix(rest, "datasets/"); ok {
		p.kind, rest = "datasets/", below
	}
	repo, rest, revised := strings.Cut(rest, "@")
	p.repo = repo
	p.revision, p.file, _ = strings.Cut(rest, "/")
	if m := hubRefs.FindStringSubmatch(rest); m != nil {
		p.revision, p.file = m[1], m[2]
	}
	if parts := strings.SplitN(repo, "/", 3); p.kind != "" && !revised && len(parts) == 3 { // org/repo/path
		p.repo, p.file = parts[0]+"/"+parts[1], parts[2]
	}
	if !hubRepo.MatchString(p.repo) || strings.ContainsAny(rest, "?#%") || revised && strings.Trim(p.revision, ".") == "" || p.file != "" && checkPath(p.file) != nil {
		return p, contentErrorf("source %s is not of the form hf://organisation/repository@commit/path", redact(source))
	}
	return p, nil
}

func (s sources) hub(secret Secret) hub {
	h := hub{s.cfg.HTTP, cmp.Or(secret["HF_ENDPOINT"], s.cfg.HuggingFace.Endpoint, "https://huggingface.co"), http.Header{}}
	token := cmp.Or(secret["token"], secret["HF_TOKEN"])
	if len(secret) == 0 { // davit's own goes nowhere that a Secret names
		token = s.cfg.HuggingFace.Token
	}
	if token != "" {
		h.header.Set("Authorization", "Bearer "+token)
	}
	return h
}

var commitHex = regexp.MustCompile(`^[0-9a-f]{40}$`)

// openHub reads one file at one commit. The hub sends large files on to its storage.
func (s sources) openHub(ctx context.Context, f registry.File, secret Secret) (io.ReadCloser, error) {
	p, err := parseHub(f.Source)
	if err != nil {
		return nil, err
	}
	if !commitHex.MatchString(p.revision) || p.file == "" {
		return nil, contentErrorf("source %s does not name a commit and a file (hf://organisation/repository@<40 hex digits>/path); run davit add, which finds them", redact(f.Source))
	}
	h := s.hub(secret)
	return openResumed(ctx, f, httpSource{h.client, f, h.endpoint + "/" + p.kind + p.repo + "/resolve/" + p.revision + "/" + escapePath(p.file), h.header}.connect)
}

func escapePath(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return path.Join(parts...)
}

// files lists a repository at the commit its revision stands for; main without one. Files that the hub keeps with Git
// LFS come with their sha256.
func (h hub) files(ctx context.Context, p hubPlace) (all []registry.File, err error) {
	if p.revision, err = h.commit(ctx, p); err != nil {
		return nil, err
	}
	for next := h.api(p) + "/tree/" + p.revision + "?recursive=true"; next != ""; {
		var entries []struct {
			Type string `json:"type"`
			Path string `json:"path"`
			Size int64  `json:"size"`
			LFS  *struct {
				OID  string `json:"oid"`
				Size int64  `json:"size"`
			} `json:"lfs"`
		}
		if next, err = h.get(ctx, next, &entries); err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.Type != "file" {
				continue
			}
			p.file = e.Path
			f := registry.File{Path: e.Path, Source: p.String(), Size: e.Size}
			if e.LFS != nil {
				f.SHA256, f.Size = strings.TrimPrefix(e.LFS.OID, "sha256:"), e.LFS.Size
			}
			all = append(all, f)
		}
	}
	return all, nil
}

func (h hub) api(p hubPlace) string {
	return h.endpoint + "/api/" + cmp.Or(p.kind, "models/") + p.repo
}

// commit is what a revision stands for; main without one.
func (h hub) commit(ctx context.Context, p hubPlace) (string, error) {
	var info struct {
		SHA string `json:"sha"`
	}
	if _, err := h.get(ctx, h.api(p)+"/revision/"+url.PathEscape(cmp.Or(p.revision, "main")), &info); err != nil {
		return "", err
	}
	if !commitHex.MatchString(info.SHA) {
		return "", fmt.Errorf("the hub names no commit of %s", p.repo)
	}
	return info.SHA, nil
}

var nextLink = regexp.MustCompile(`<([^>]+)>;\s*rel="next"`)

// get reads JSON and returns the address of the next page, which must be the same host's: the token goes there.
func (h hub) get(ctx context.Context, address string, into any) (next string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", fmt.Errorf("the hub's address %s is not valid", redact(address))
	}
	for key, values := range h.header {
		req.Header[key] = values
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return "", withoutURL(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", h.refused(req, resp)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(into); err != nil {
		return "", fmt.Errorf("reading the hub's answer: %w", err)
	}
	if m := nextLink.FindStringSubmatch(resp.Header.Get("Link")); m != nil {
		at, err := req.URL.Parse(m[1])
		if err != nil || at.Host != req.URL.Host || at.Scheme != req.URL.Scheme {
			return "", fmt.Errorf("the hub's next page is at another address")
		}
		next = at.String()
	}
	return next, nil
}

func (h hub) refused(req *http.Request, resp *http.Response) error {
	hint := ""
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusNotFound {
		hint = "; a private or gated repository needs HF_TOKEN"
	}
	return &statusError{resp.StatusCode, fmt.Sprintf("asking the hub for %s: %s%s", redact(req.URL.String()), resp.Status, hint), hint}
}
