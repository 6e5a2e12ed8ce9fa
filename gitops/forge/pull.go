package forge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/drone/go-scm/scm"
)

// PullRequest is one on the forge (a merge request on GitLab), or one to be.
type PullRequest struct {
	// Branch is merged into Base; both without refs/heads/. Base is Config.Branch if "".
	Branch string
	Base   string
	Title  string
	Body   string // Markdown

	// Number and URL are the forge's; Propose ignores them, and what follows.
	Number int
	URL    string
	Author string // login
	Closed bool   // merged or not
	Merged bool
}

// Propose opens a pull request for pr.Branch into pr.Base, which must be pushed, or gives the open one pr's title and
// body where they differ. One stays, however many controllers propose at once: the oldest, and the others are closed.
func (f *Forge) Propose(ctx context.Context, pr PullRequest) (PullRequest, error) {
	pr.Base = cmp.Or(pr.Base, f.branch)
	if pr.Branch == "" || pr.Base == "" || pr.Title == "" {
		return PullRequest{}, errors.New("a pull request needs a branch, a base and a title")
	}
	done, err := f.alone(ctx)
	if err != nil {
		return PullRequest{}, err
	}
	defer done()
	got, err := f.propose(ctx, pr)
	if err != nil {
		return PullRequest{}, fmt.Errorf("proposing %s: %w", pr.Branch, err)
	}
	return got, nil
}

func (f *Forge) propose(ctx context.Context, pr PullRequest) (PullRequest, error) {
	open, err := f.proposed(ctx, pr)
	if err != nil {
		return PullRequest{}, err
	}
	if len(open) == 0 {
		return f.create(ctx, pr)
	}
	if err := f.closeSecond(ctx, open[0], open[1:]); err != nil {
		return PullRequest{}, err
	}
	return f.edit(ctx, open[0], pr)
}

// create opens a pull request and looks again: forges refuse a second one for a branch, but not one that is opened at
// the same instant (five at once are five on Gitea 1.26). Who has not made the oldest closes his own.
func (f *Forge) create(ctx context.Context, pr PullRequest) (PullRequest, error) {
	var answer details
	refused := f.send(ctx, f.dialect.create(pr), &answer)
	if refused != nil && !taken(refused) {
		return PullRequest{}, refused
	}
	open, err := f.proposed(ctx, pr)
	if err != nil {
		return PullRequest{}, err
	}
	own := max(answer.Number, answer.IID)
	switch {
	case len(open) == 0 && refused != nil:
		return PullRequest{}, refused
	case len(open) == 0: // the list lags behind
		return f.find(ctx, own)
	}
	seconds := slices.DeleteFunc(open[1:], func(other PullRequest) bool { return other.Number != own })
	if err := f.closeSecond(ctx, open[0], seconds); err != nil {
		return PullRequest{}, err
	}
	return f.edit(ctx, open[0], pr)
}

func (f *Forge) closeSecond(ctx context.Context, kept PullRequest, others []PullRequest) error {
	for _, other := range others {
		f.log.Info("closing a second pull request", "branch", kept.Branch, "number", other.Number, "kept", kept.Number)
		if err := f.close(ctx, other, "The same as "+kept.URL+", proposed twice at once."); err != nil {
			return err
		}
	}
	return nil
}

// edit sends pr's texts where they differ from had's.
func (f *Forge) edit(ctx context.Context, had, pr PullRequest) (PullRequest, error) {
	if same(had.Title, pr.Title) && same(had.Body, pr.Body) {
		return had, nil
	}
	if err := f.send(ctx, f.dialect.edit(had.Number, pr.Title, pr.Body), nil); err != nil {
		return PullRequest{}, err
	}
	had.Title, had.Body = pr.Title, pr.Body
	return had, nil
}

// taken is how the forges refuse a second pull request for a branch; GitHub's 422 may be another fault.
func taken(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Status == http.StatusConflict || e.Status == http.StatusUnprocessableEntity)
}

// same ignores what forges change in a text: line ends, and space around it.
func same(a, b string) bool { return normal(a) == normal(b) }

func normal(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }

// proposed are the open ones from pr's branch to its base, the oldest first.
func (f *Forge) proposed(ctx context.Context, pr PullRequest) ([]PullRequest, error) {
	return f.open(ctx, func(p *scm.PullRequest) bool { return p.Source == pr.Branch && p.Target == pr.Base })
}

// Open lists the open pull requests whose branch begins with prefix, the oldest first. A branch in a fork is not meant,
// whatever its name.
func (f *Forge) Open(ctx context.Context, prefix string) ([]PullRequest, error) {
	open, err := f.open(ctx, func(p *scm.PullRequest) bool { return strings.HasPrefix(p.Source, prefix) })
	if err != nil {
		return nil, fmt.Errorf("listing pull requests: %w", err)
	}
	return open, nil
}

func (f *Forge) open(ctx context.Context, want func(*scm.PullRequest) bool) ([]PullRequest, error) {
	all, err := pages(func(page int) ([]*scm.PullRequest, *scm.Response, error) {
		return f.scm.PullRequests.List(ctx, f.repo, scm.PullRequestListOptions{Open: true, Page: page, Size: pageSize})
	})
	if err != nil {
		return nil, err
	}
	var open []PullRequest
	for _, p := range all {
		if p.Closed || !want(p) || slices.ContainsFunc(open, func(o PullRequest) bool { return o.Number == p.Number }) {
			continue // a page that grew meanwhile repeats one
		}
		var d details
		if err := f.send(ctx, f.dialect.details(p.Number), &d); err != nil {
			return nil, err
		}
		if d.ownBranch() {
			open = append(open, pull(p))
		}
	}
	slices.SortFunc(open, func(a, b PullRequest) int { return a.Number - b.Number })
	return open, nil
}

// Find returns a pull request by its number, open or not.
func (f *Forge) Find(ctx context.Context, number int) (PullRequest, error) {
	pr, err := f.find(ctx, number)
	if err != nil {
		return PullRequest{}, fmt.Errorf("reading pull request %d: %w", number, err)
	}
	return pr, nil
}

func (f *Forge) find(ctx context.Context, number int) (PullRequest, error) {
	p, _, err := f.scm.PullRequests.Find(ctx, f.repo, number)
	if err != nil {
		return PullRequest{}, err
	}
	return pull(p), nil
}

// Close closes a pull request and says why in a comment, unless comment is "". One that is closed or merged already
// stays as it is, without a comment.
func (f *Forge) Close(ctx context.Context, number int, comment string) error {
	done, err := f.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	pr, err := f.find(ctx, number)
	if err == nil && !pr.Closed {
		err = f.close(ctx, pr, comment)
	}
	if err != nil {
		return fmt.Errorf("closing pull request %d: %w", number, err)
	}
	return nil
}

func (f *Forge) close(ctx context.Context, pr PullRequest, comment string) error {
	if comment != "" {
		if err := f.comment(ctx, pr.Number, "closed", comment); err != nil {
			return err
		}
	}
	err := f.send(ctx, f.dialect.close(pr.Number), nil)
	if err != nil {
		// Two at once: Gitea answers 500 to the later one, GitHub 422 where it was merged meanwhile.
		if now, found := f.find(ctx, pr.Number); found == nil && now.Closed {
			return nil
		}
	}
	return err
}

func pull(p *scm.PullRequest) PullRequest {
	return PullRequest{
		Branch: p.Source, Base: p.Target, Title: p.Title, Body: p.Body,
		Number: p.Number, URL: p.Link, Author: p.Author.Login, Closed: p.Closed, Merged: p.Merged,
	}
}
