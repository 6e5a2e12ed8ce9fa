package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/davit-dev/davit/gitops"
)

// git checks the remote of the clone, as the user's git reaches it, and whether outcomes come along with a fetch.
func (e *examination) git(ctx context.Context) {
	if e.models == nil {
		return
	}
	c, err := e.app.clone(ctx, "")
	if err != nil {
		e.say(failed, "git", err.Error(), "davit doctor works in a clone of the registry")
		return
	}
	if c.remote == "" {
		e.say(fine, "git", "a repository without a remote; branch "+c.branch, "")
		return
	}
	url, err := c.git(ctx, "remote", "get-url", c.remote)
	if err != nil {
		e.say(failed, "git", err.Error(), "")
		return
	}
	url = gitops.Redact(url)
	line, err := c.git(ctx, "ls-remote", c.remote, "refs/heads/"+c.branch)
	switch {
	case err != nil:
		e.say(failed, "git", fmt.Sprintf("%s can't be read: %s", url, oneLine(err)), "try git ls-remote "+c.remote+"; the credentials are your git's")
		return
	case line == "":
		e.say(failed, "git", fmt.Sprintf("%s has no branch %s", url, c.branch), "push it, or name the followed branch: davit reads the one that origin/HEAD names (git remote set-head origin -a)")
		return
	}
	tip, _, _ := strings.Cut(line, "\t")
	e.say(fine, "git", fmt.Sprintf("%s is read; %s is at %s", url, c.branch, short(tip)), "")
	e.pushes(ctx, c, url)
	e.fetchesOutcomes(ctx, c)
}

// pushes begins a push without sending anything: a server that lets nobody in says so then.
func (e *examination) pushes(ctx context.Context, c *clone, url string) {
	if _, err := c.git(ctx, "push", "--dry-run", "-q", c.remote, "HEAD:refs/heads/davit/doctor"); err != nil {
		e.say(warn, "git", fmt.Sprintf("%s takes no push from you: %s", url, oneLine(err)),
			"who only reads can't promote or roll back by davit's commands; a controller that only reads keeps outcomes in the cluster (outcomes: Cluster)")
		return
	}
	e.say(fine, "git", url+" lets you in to push (what its rules refuse shows only then)", "")
}

func (e *examination) fetchesOutcomes(ctx context.Context, c *clone) {
	there, _ := c.git(ctx, "config", "--get-all", "remote."+c.remote+".fetch")
	if !slices.Contains(strings.Split(there, "\n"), fetchedNotes) {
		e.say(warn, "git", "git fetch leaves out what came of the commits", "davit init . has this clone fetch outcomes and git log show them")
	}
}

// images checks that each repository of model images answers, and takes an upload.
func (e *examination) images(ctx context.Context) {
	if e.models == nil {
		return
	}
	prefix := e.models.Spec.Images
	if prefix == "" || len(e.models.Models) == 0 {
		return
	}
	builder, err := e.app.images(nil, nil)
	if err != nil {
		e.say(failed, "images", err.Error(), "")
		return
	}
	repository := prefix + "/" + slices.Sorted(maps.Keys(e.models.Models))[0]
	if err := builder.CheckPush(ctx, repository); err != nil {
		e.say(failed, "images", oneLine(err), "docker login (or crane, oras, podman login) writes the credentials that davit build uses; who builds needs the right to push")
		return
	}
	e.say(fine, "images", repository+" takes an upload from you", "")
}

// oneLine is an error's text for a line of its own.
func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}
