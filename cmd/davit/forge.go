package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/gitops/forge"
)

// forgeToken is the environment variable with the token for the forge's API.
const forgeToken = "DAVIT_FORGE_TOKEN"

// forgeOptions say which forge a repository is on.
type forgeOptions struct{ kind, tokenFile string }

func (o *forgeOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.kind, "forge", "", "GitHub, GitLab or Gitea (default: told by the repository's host); its token is in "+forgeToken)
	f.StringVar(&o.tokenFile, "forge-token-file", "", "file with the forge's token, read anew for each request (default: "+forgeToken+")")
}

// at is the forge of a repository; nil without a token.
func (o *forgeOptions) at(repository string) (*forge.Forge, error) {
	return o.by(repository, nil)
}

// by is at, with requests carried by a transport; nil for the usual one.
func (o *forgeOptions) by(repository string, transport http.RoundTripper) (*forge.Forge, error) {
	if kinds := []string{"", forge.GitHub, forge.GitLab, forge.Gitea}; !slices.Contains(kinds, o.kind) {
		return nil, usage{fmt.Errorf("--forge %q is not known; use GitHub, GitLab or Gitea", o.kind)}
	}
	if token, err := o.token(); err != nil || token == "" || repository == "" {
		return nil, err
	}
	return forge.New(forge.Config{
		Kind: o.kind, Repository: repository, Token: func(context.Context) (string, error) { return o.token() }, Client: &http.Client{Timeout: 30 * time.Second, Transport: transport},
	})
}

func (o *forgeOptions) token() (string, error) {
	if o.tokenFile == "" {
		return os.Getenv(forgeToken), nil
	}
	data, err := os.ReadFile(o.tokenFile)
	token := strings.TrimSpace(string(data))
	if err == nil && token == "" {
		err = fmt.Errorf("%s is empty; want the forge's token in it", o.tokenFile)
	}
	return token, err
}

// branched is a branch that is to be merged.
type branched struct {
	name, what string // what is on it: "the revert"
	text       string // title and body
	noRequest  bool   // only say how it is merged
	request    bool   // there must be a pull request
}

// open opens a pull request for a branch, or says what to do without one.
func (o *forgeOptions) open(ctx context.Context, out io.Writer, local *clone, b branched) error {
	if local.remote == "" {
		if b.request {
			return fmt.Errorf("branch %s has %s; --pr needs a remote on a forge, and there is none", b.name, b.what)
		}
		first := ""
		if at, _ := local.git(ctx, "symbolic-ref", "-q", "--short", "HEAD"); at != local.branch {
			first = "git switch " + local.branch + " && "
		}
		fmt.Fprintf(out, "branch %s has %s; next: %sgit merge %[1]s\n", b.name, b.what, first)
		return nil
	}
	url, err := local.git(ctx, "remote", "get-url", local.remote)
	if err != nil {
		return err
	}
	host, err := o.at(url)
	switch {
	case err != nil:
		return err
	case host == nil && b.request:
		return fmt.Errorf("branch %s is pushed; --pr needs a token for the forge in %s", b.name, forgeToken)
	case host == nil || b.noRequest:
		fmt.Fprintf(out, "branch %s of %s has %s; next: open a pull request for it (davit does, with a token in %s), or\n"+
			"  git fetch %s && git switch %s && git merge %[5]s/%[1]s && git push\n",
			b.name, gitops.Redact(url), b.what, forgeToken, local.remote, local.branch)
		return nil
	}
	title, body, _ := strings.Cut(b.text, "\n\n")
	pr, err := host.Propose(ctx, forge.PullRequest{Branch: b.name, Base: local.branch, Title: title, Body: body})
	if err != nil {
		return fmt.Errorf("branch %s is pushed; its pull request: %w", b.name, err)
	}
	fmt.Fprintf(out, "pull request %s has %s; it is to be merged\n", pr.URL, b.what)
	return nil
}
