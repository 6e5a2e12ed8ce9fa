package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/gitops/forge"
)

// forgeToken is the environment variable with the token for the forge's API.
const forgeToken = "DAVIT_FORGE_TOKEN"

// forgeOptions say which forge a repository is on.
type forgeOptions struct{ kind string }

func (o *forgeOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.kind, "forge", "", "GitHub, GitLab or Gitea (default: told by the repository's host); its token is in "+forgeToken)
}

// at is the forge of a repository; nil without a token.
func (o *forgeOptions) at(repository string) (*forge.Forge, error) {
	if kinds := []string{"", forge.GitHub, forge.GitLab, forge.Gitea}; !slices.Contains(kinds, o.kind) {
		return nil, usage{fmt.Errorf("--forge %q is not known; use GitHub, GitLab or Gitea", o.kind)}
	}
	token := os.Getenv(forgeToken)
	if token == "" || repository == "" {
		return nil, nil
	}
	return forge.New(forge.Config{
		Kind: o.kind, Repository: repository, Token: func(context.Context) (string, error) { return token, nil },
	})
}

// open opens a pull request for a branch, or says what to do without one.
func (o *forgeOptions) open(ctx context.Context, out io.Writer, local *clone, branch, message string) error {
	if local.remote == "" {
		fmt.Fprintf(out, "branch %s has the revert; next: git merge %s\n", branch, branch)
		return nil
	}
	url, err := local.git(ctx, "remote", "get-url", local.remote)
	if err != nil {
		return err
	}
	host, err := o.at(url)
	if err != nil {
		return err
	}
	if host == nil {
		fmt.Fprintf(out, "branch %s of %s has the revert; next: open a pull request for it (davit does, with a token in %s), or\n"+
			"  git fetch %s && git switch %s && git merge %s/%s && git push\n",
			branch, gitops.Redact(url), forgeToken, local.remote, local.branch, local.remote, branch)
		return nil
	}
	title, body, _ := strings.Cut(message, "\n\n")
	pr, err := host.Propose(ctx, forge.PullRequest{Branch: branch, Base: local.branch, Title: title, Body: body})
	if err != nil {
		return fmt.Errorf("branch %s is pushed; its pull request: %w", branch, err)
	}
	fmt.Fprintf(out, "pull request %s has the revert; it is to be merged\n", pr.URL)
	return nil
}
