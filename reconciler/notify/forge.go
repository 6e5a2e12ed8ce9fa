package notify

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/gitops/forge"
)

// Forge comments on the pull request that a message's commit came from: one comment for each release, which is brought up
// to date. Where there is none it comments on the commit, which Gitea can't: there the commit's status alone tells.
func Forge(name string, f *forge.Forge, source *gitops.Source) func(context.Context, []Message) error {
	return func(ctx context.Context, messages []Message) error {
		for _, m := range messages {
			if err := comment(ctx, name, f, source, m); err != nil {
				return err
			}
		}
		return nil
	}
}

func comment(ctx context.Context, name string, f *forge.Forge, source *gitops.Source, m Message) error {
	hash := gitops.ParseHash(m.Commit)
	if hash.IsZero() {
		return nil
	}
	c, err := source.Commit(ctx, hash)
	if err != nil {
		return err
	}
	pr, merged, err := f.Merged(ctx, m.Commit, c.Subject+"\n\n"+c.Body)
	if err != nil {
		return err
	}
	if merged {
		return f.Comment(ctx, pr.Number, "notify:"+url.QueryEscape(name)+":"+m.Subject(), markdown(m))
	}
	if err := f.CommentCommit(ctx, m.Commit, markdown(m)); !errors.Is(err, forge.ErrNoCommitComments) {
		return err
	}
	return nil
}

// plain keeps text from being read as Markdown or HTML, and from calling people.
var plain = strings.NewReplacer("<", "&lt;", ">", "&gt;", "@", "@\u200b", "`", "'", "*", `\*`, "_", `\_`, "[", `\[`, "\n", " ")

func markdown(m Message) string {
	text := "**" + plain.Replace(m.title()) + "**"
	if why := m.why(); why != "" {
		text += "\n\n" + plain.Replace(clip(why, 2000))
	}
	if m.Revision != "" {
		text += fmt.Sprintf("\n\n<sub>%s · %s</sub>", plain.Replace(m.Registry), m.Revision)
	}
	return text
}
