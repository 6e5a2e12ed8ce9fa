package forge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/drone/go-scm/scm"
	"github.com/drone/go-scm/scm/driver/gitea"
	"github.com/drone/go-scm/scm/driver/github"
	"github.com/drone/go-scm/scm/driver/gitlab"
)

// The kinds of forge. Forgejo and Codeberg are of kind Gitea.
const (
	GitHub = "GitHub"
	GitLab = "GitLab"
	Gitea  = "Gitea"
)

// Config says which repository on which forge.
type Config struct {
	// Kind is GitHub, GitLab or Gitea; "" takes it from the host, which works for github.com, gitlab.com, codeberg.org
	// and gitea.com.
	Kind string
	// URL is the forge's address in a browser, without the repository; the host of Repository, over https unless
	// Repository says http, if "".
	URL string
	// Repository is the clone URL: https, ssh or host:path. Credentials in it are neither used nor printed.
	Repository string
	// Branch is the followed branch: proposals go to it where they name no base, and a merged pull request counts
	// only when it went there. "" asks for a base and counts all.
	Branch string
	// Token is asked for before each request, so it may rotate: an access token that may read its own user and write
	// pull requests, statuses and comments, sent as a bearer token. Nil reads public repositories.
	Token func(ctx context.Context) (string, error)
	// Client carries the requests; one with a timeout of 30 s if nil.
	Client *http.Client
	// Log gets what nobody waits for; slog's default if nil.
	Log *slog.Logger
}

// Forge is one repository on a forge. Its methods may be called concurrently; those that write run one after another,
// as GitHub asks (its secondary limits punish concurrent writes). A refusal or an outage is an *Error.
type Forge struct {
	scm     *scm.Client
	dialect dialect
	repo    string
	branch  string
	kind    string
	log     *slog.Logger

	// writing holds one token; who has it may use what follows.
	writing chan struct{}
	sent    map[sentKey]Status
	login   string
	asked   bool // for login
}

// New checks cfg; it sends nothing.
func New(cfg Config) (*Forge, error) {
	where, err := locate(cfg.Repository, cfg.URL)
	if err != nil {
		return nil, err
	}
	kind := cmp.Or(cfg.Kind, kinds[where.url.Hostname()])
	f := &Forge{
		repo: where.repo, branch: cfg.Branch, kind: kind, log: cfg.Log,
		writing: make(chan struct{}, 1), sent: map[sentKey]Status{},
	}
	if f.log == nil {
		f.log = slog.Default()
	}
	switch kind {
	case GitHub:
		f.scm, err = github.New(githubAPI(where.url))
		f.dialect = hub{repo: where.repo, pulls: "pulls"}
	case Gitea:
		f.scm, err = gitea.New(where.url.String())
		f.dialect = hub{prefix: "api/v1/", repo: where.repo, pulls: "pull"}
	case GitLab:
		f.scm, err = gitlab.New(where.url.String())
		f.dialect = lab{repo: where.repo}
	case "":
		return nil, fmt.Errorf("which kind of forge %s is can't be seen from its name; set kind to GitHub, GitLab or Gitea", where.url.Host)
	default:
		return nil, fmt.Errorf("%s is no kind of forge known here; set kind to GitHub, GitLab or Gitea", kind)
	}
	if err != nil {
		return nil, err
	}
	f.scm.Client = client(cfg)
	return f, nil
}

// alone waits for the right to write. The returned function gives it back.
func (f *Forge) alone(ctx context.Context) (func(), error) {
	select {
	case f.writing <- struct{}{}:
		return func() { <-f.writing }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// send sends a request of the dialect and decodes the answer into out, unless that is nil.
func (f *Forge) send(ctx context.Context, r request, out any) error {
	in := &scm.Request{Method: r.method, Path: r.path, Header: http.Header{"Accept": {"application/json"}}}
	if r.body != nil {
		in.Header.Set("Content-Type", "application/json")
		in.Body = r.body.reader()
	}
	res, err := f.scm.Do(ctx, in)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(out)
}

// pages collects all pages of a list.
func pages[T any](list func(page int) ([]T, *scm.Response, error)) ([]T, error) {
	var all []T
	for page := 1; page > 0 && page <= maxPages; {
		some, res, err := list(page)
		if err != nil {
			return nil, err
		}
		all, page = append(all, some...), res.Page.Next
	}
	return all, nil
}

const (
	pageSize = 100 // the most that GitHub and GitLab give; Gitea makes 50 of it
	maxPages = 100
	timeout  = 30 * time.Second
)

// notThere is the answer of a forge that has no such thing, or does not show it to this token.
func notThere(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == http.StatusNotFound
}
