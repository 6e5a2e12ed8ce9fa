package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// ErrNoCommitComments says that a forge has no comments on commits: Gitea.
var ErrNoCommitComments = errors.New("no comments on commits with Gitea")

// CommentCommit comments on a commit; each call makes a comment of its own.
func (f *Forge) CommentCommit(ctx context.Context, commit, text string) error {
	if !hash.MatchString(commit) {
		return fmt.Errorf("%q is no commit", commit)
	}
	var r request
	switch d := f.dialect.(type) {
	case lab:
		r = request{http.MethodPost, d.path("repository/commits/%s/comments", commit), fields{"note": text}}
	case hub:
		if d.prefix != "" {
			return ErrNoCommitComments
		}
		r = request{http.MethodPost, d.path("commits/%s/comments", commit), fields{"body": text}}
	}
	done, err := f.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := f.send(ctx, r, nil); err != nil {
		return fmt.Errorf("commenting on commit %.12s: %w", commit, err)
	}
	return nil
}

// CommitURL is where a browser finds a commit of a repository; cfg's Kind, URL and Repository count. It is empty where
// the kind of forge is not known, or the repository is on none.
func CommitURL(cfg Config, commit string) string {
	at, err := locate(cfg.Repository, cfg.URL)
	if err != nil || !hash.MatchString(commit) {
		return ""
	}
	kind := cfg.Kind
	if kind == "" {
		kind = kinds[at.url.Hostname()]
	}
	var under string
	switch kind {
	case GitHub, Gitea:
		under = "commit"
	case GitLab:
		under = "-/commit"
	default:
		return ""
	}
	return at.url.JoinPath(at.repo, under, url.PathEscape(commit)).String()
}
