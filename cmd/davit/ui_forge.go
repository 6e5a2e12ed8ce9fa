package main

import (
	"context"

	"github.com/davit-dev/davit/gitops/forge"
	"github.com/davit-dev/davit/reconciler"
)

// forgePages has the page lead to commits and pull requests on the forge: that of --repo, or of the clone's remote.
func (a *app) forgePages(ctx context.Context, o *syncOptions, to *reconciler.Config) {
	at := forge.Config{Kind: o.forge.kind, Repository: o.repo}
	if o.repo == "" {
		if local, err := a.clone(ctx, o.branch); err == nil && local.remote != "" {
			at.Repository, _ = local.git(ctx, "remote", "get-url", local.remote) // one without a URL is on no forge
		}
	}
	to.CommitURL = func(commit string) string { return forge.CommitURL(at, commit) }
	to.MentionURL = func(word string) string { return forge.MentionURL(at, word) }
}
