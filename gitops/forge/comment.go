package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/drone/go-scm/scm"
)

// Comment sets davit's comment of that key on a pull request: it is made, or edited when the text differs. The key is
// in the comment as <!-- davit:key -->, which pages do not show; only comments by the token's own user are looked at.
func (f *Forge) Comment(ctx context.Context, number int, key, text string) error {
	if key == "" || strings.ContainsAny(key, "<>\n") {
		return fmt.Errorf("%q can't be the key of a comment", key)
	}
	done, err := f.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := f.comment(ctx, number, key, text); err != nil {
		return fmt.Errorf("commenting on pull request %d: %w", number, err)
	}
	return nil
}

func (f *Forge) comment(ctx context.Context, number int, key, text string) error {
	marker := "<!-- davit:" + key + " -->"
	text = normal(text) + "\n\n" + marker
	comments, err := f.comments(ctx, number)
	if err != nil {
		return err
	}
	mine, err := f.mine(ctx)
	if err != nil {
		return err
	}
	var had *scm.Comment // the oldest, should two processes have made one each
	for _, c := range comments {
		if strings.HasSuffix(normal(c.Body), marker) && mine(c.Author.Login) && (had == nil || c.ID < had.ID) {
			had = c
		}
	}
	switch {
	case had == nil:
		return f.send(ctx, f.dialect.comment(number, text), nil)
	case same(had.Body, text):
		return nil
	}
	return f.send(ctx, f.dialect.editComment(number, had.ID, text), nil)
}

func (f *Forge) comments(ctx context.Context, number int) ([]*scm.Comment, error) {
	list := f.scm.Issues.ListComments // a pull request is an issue to GitHub and Gitea
	if f.kind == GitLab {
		list = f.scm.PullRequests.ListComments
	}
	return pages(func(page int) ([]*scm.Comment, *scm.Response, error) {
		return list(ctx, f.repo, number, scm.ListOptions{Page: page, Size: pageSize})
	})
}

// mine tells the token's own comments from those that only look so: a stranger's would be edited in his place. A
// token that may not read its user is a GitHub App's, which writes as name[bot]; on other forges the marker must do.
func (f *Forge) mine(ctx context.Context) (func(login string) bool, error) {
	if !f.asked {
		me, _, err := f.scm.Users.Find(ctx)
		if e, ok := errors.AsType[*Error](err); ok && (e.Status == http.StatusForbidden && e.RetryAfter == 0 || e.Status == http.StatusNotFound) {
			me, err = &scm.User{}, nil
		}
		if err != nil {
			return nil, err
		}
		f.login, f.asked = me.Login, true
	}
	return func(login string) bool {
		switch {
		case f.login != "":
			return strings.EqualFold(login, f.login)
		case f.kind == GitHub:
			return strings.HasSuffix(login, "[bot]")
		}
		return true
	}, nil
}
