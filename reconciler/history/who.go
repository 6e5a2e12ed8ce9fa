package history

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/davit-dev/davit/gitops"
)

// Who is who made a commit, as the commit states it.
type Who struct {
	// Author wrote the change: of a merge, whoever wrote the newest commit of the merged branch.
	Author gitops.Person
	// Committer put it onto the branch: of a merge, who merged. Where a forge's own identity made the merge for
	// somebody, it is that person.
	Committer gitops.Person
	// Merge says that the commit is a merge.
	Merge bool
	// Signer is whose signature on the commit was verified, "" when none was.
	Signer string
	// Unsigned says why there is no signer, when signers were asked for.
	Unsigned string
	// PullRequest is the pull or merge request's URL where the commit has one, else "#12" or "group/project!12"; "" when
	// it tells of none.
	PullRequest string
	// PromotedFrom is the environment or training whose version it promotes, ByRule that a rule merged it and nobody else;
	// both as the commit, or what it merges, says.
	PromotedFrom string
	ByRule       bool
	// Subject is the commit's.
	Subject string
}

// Merger is who put it onto the branch, where that is somebody other than who wrote it; "" else. Two identities with a name or an
// address in common are one person's: people have several addresses, and forges write their names.
func (w Who) Merger() string {
	a, b := w.Author, w.Committer
	if strings.EqualFold(strings.TrimSpace(a.Name), strings.TrimSpace(b.Name)) || a.Email != "" && strings.EqualFold(a.Email, b.Email) {
		return ""
	}
	return b.Name
}

// Who reads who made a commit. Without signers no signature is looked at.
func (h *History) Who(ctx context.Context, commit string, signers *gitops.Signers) (Who, error) {
	hash := gitops.ParseHash(commit)
	c, err := h.source.Commit(ctx, hash)
	if err != nil {
		return Who{}, err
	}
	w := Who{Author: c.Author, Committer: c.Committer, Subject: c.Subject, PullRequest: pullRequest(c.Subject, c.Body)}
	w.PromotedFrom, _ = c.Trailer("Davit-From")
	_, w.ByRule = c.Trailer("Davit-Merged-By-Rule")
	if w.Merge = len(c.Parents) > 1; w.Merge {
		if forges[c.Committer.Email] {
			w.Committer = c.Author
		}
		if merged, err := h.source.Commit(ctx, c.Parents[len(c.Parents)-1]); err == nil { // a shallow clone may lack it
			w.Author = merged.Author
			if from, ok := merged.Trailer("Davit-From"); ok && w.PromotedFrom == "" {
				w.PromotedFrom = from
			}
		}
	}
	if signers != nil {
		var unsigned *gitops.UnsignedError
		if w.Signer, err = h.source.Verify(ctx, hash, signers); errors.As(err, &unsigned) {
			w.Unsigned = unsigned.Why
		} else if err != nil {
			return Who{}, err
		}
	}
	return w, nil
}

// forges are the identities that commit for whoever pressed the button.
var forges = map[string]bool{"noreply@github.com": true}

// How forges name the request that a commit merges, most telling first.
var (
	trailer   = regexp.MustCompile(`(?mi)^Pull-Request:[ \t]*(\S+)[ \t]*$`)
	reviewed  = regexp.MustCompile(`(?m)^Reviewed-on:[ \t]*(https?://\S+)[ \t]*$`) // by Gitea, and Gerrit
	gitlab    = regexp.MustCompile(`(?m)^See merge request (\S+!\d+|https?://\S+)\s*$`)
	github    = regexp.MustCompile(`^Merge pull request (#\d+) (?:from|in) `) // and Bitbucket Data Center
	gitea     = regexp.MustCompile(`^Merge pull request '.*' \((#\d+)\) from `)
	bitbucket = regexp.MustCompile(`^Merged in .+ \(pull request (#\d+)\)|^Pull request (#\d+):`)
	squashed  = regexp.MustCompile(`\((#\d+)\)$|\(pull request (#\d+)\)$`) // by GitHub and Gitea, by Bitbucket
)

// pullRequest finds what a commit's message says of the pull request it comes from.
func pullRequest(subject, body string) string {
	for _, in := range []struct {
		form *regexp.Regexp
		text string
	}{{trailer, body}, {reviewed, body}, {gitlab, body}, {github, subject}, {gitea, subject}, {bitbucket, subject}, {squashed, subject}} {
		if found := in.form.FindStringSubmatch(in.text); found != nil {
			return strings.Join(found[1:], "")
		}
	}
	return ""
}
