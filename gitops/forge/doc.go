// Package forge speaks to the host of a Git repository about what Git itself has no words for: pull requests, commit
// statuses and comments on GitHub, GitLab and Gitea (Forgejo too), and it receives their webhooks.
//
// go-scm reads: pull requests, comments and users of the three come in one shape. What it can't do goes out as requests
// of the package's own (dialect.go): it edits nothing, closes nothing on Gitea, leaves a GitLab status without its
// description, gives GitLab every text in the URL's query, where proxies cut it at 8 KiB, and does not tell a fork's branch from
// one of the repository, nor what a pull request was merged as.
//
// It knows no Kubernetes, no OCI, nothing of the registry's files and no Git either: branches and commits are names
// here. In the way of a commit it is the last stage, and a webhook makes the first one start sooner.
package forge
