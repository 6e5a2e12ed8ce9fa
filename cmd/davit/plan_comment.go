package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/reconciler/plan"
)

// planComment is the key of the one comment that plan sets.
const planComment = "plan"

// commentOptions say where a plan is posted, and which.
type commentOptions struct {
	number           int
	from, repository string
	forge            forgeOptions
}

func (o *commentOptions) flags(f *pflag.FlagSet) {
	f.IntVar(&o.number, "comment", 0, "set davit's comment on the pull request of that number")
	f.StringVar(&o.from, "comment-from", "", "with --comment: post this file of Markdown, - for stdin, and read nothing else")
	f.StringVar(&o.repository, "repository", "", "with --comment: the repository's URL at its forge (default: the remote's)")
	o.forge.flags(f)
}

func (o *commentOptions) check(args []string) error {
	switch {
	case o.number < 0:
		return usage{fmt.Errorf("--comment %d is no number of a pull request", o.number)}
	case o.number == 0 && (o.from != "" || o.repository != ""):
		return usage{errors.New("--comment-from and --repository are for a pull request; add --comment NUMBER")}
	case o.from != "" && len(args) > 0:
		return usage{fmt.Errorf("--comment-from posts what is in the file; leave %q out", args[0])}
	}
	return nil
}

// comment posts a plan.
func (a *app) comment(cmd *cobra.Command, o *commentOptions, v *planView) error {
	repository := o.repository
	if repository == "" {
		source, err := a.source(cmd.Context())
		if err != nil {
			return err
		}
		if repository = source.Origin(); strings.HasPrefix(repository, "file:") {
			repository = "" // it has no remote
		}
	}
	var text strings.Builder
	if err := v.markdown(&text); err != nil {
		return err
	}
	return o.post(cmd.Context(), cmd.ErrOrStderr(), repository, text.String())
}

// repost posts what another job wrote, who may be anybody: it is bounded, and can be taken for no other comment of davit's.
// What it says is the other job's word.
func (o *commentOptions) repost(cmd *cobra.Command) error {
	if o.repository == "" {
		return usage{errors.New("--comment-from reads no repository; add --repository URL, such as https://github.com/acme/models")}
	}
	in := cmd.InOrStdin()
	if o.from != "-" {
		file, err := os.Open(o.from)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, plan.MaxMarkdown+1))
	switch {
	case err != nil:
		return fmt.Errorf("reading %s: %w", o.from, err)
	case len(data) > plan.MaxMarkdown:
		return fmt.Errorf("%s has more than %d bytes; post what davit plan -o markdown wrote", o.from, plan.MaxMarkdown)
	case !utf8.Valid(data) || bytes.ContainsRune(data, 0):
		return fmt.Errorf("%s is no text; post what davit plan -o markdown wrote", o.from)
	case len(bytes.TrimSpace(data)) == 0:
		return fmt.Errorf("%s is empty; post what davit plan -o markdown wrote", o.from)
	}
	return o.post(cmd.Context(), cmd.ErrOrStderr(), o.repository, tame(string(data)))
}

// quickAction is a line that GitLab takes for an order of who writes the comment: /merge, /approve.
var quickAction = regexp.MustCompile(`(?m)^([\s>]*)/`)

// tame takes away what a forge would take for more than text of this comment: orders, and the mark of whose comment it is.
// davit's own Markdown has neither.
func tame(text string) string {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n", "<!--", "&lt;!--").Replace(text)
	return quickAction.ReplaceAllString(text, "${1}&#47;")
}

func (o *commentOptions) post(ctx context.Context, stderr io.Writer, repository, text string) error {
	host, err := o.forge.at(repository)
	switch {
	case err != nil:
		return err
	case repository == "":
		return usage{errors.New("this clone has no remote; say where the pull request is with --repository URL")}
	case host == nil:
		return fmt.Errorf("commenting on pull request %d needs a token; set %s", o.number, forgeToken)
	}
	if err := host.Comment(ctx, o.number, planComment, text); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "davit: the plan is on pull request %d\n", o.number)
	return nil
}
