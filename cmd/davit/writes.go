package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
)

// writeOptions say what davit writes to the repository that it follows.
type writeOptions struct {
	outcomes string
	key      string
}

func (o *writeOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.outcomes, "outcomes", "git", "where outcomes are kept: git (notes, and a branch with the revert of what failed) or cluster")
	f.StringVar(&o.key, "commit-key", "", "sign davit's own commits with this SSH private key")
}

// apply gives a reconciler what it writes with.
func (o *writeOptions) apply(source *gitops.Source, log *slog.Logger, to *reconciler.Config) error {
	switch o.outcomes {
	case "cluster":
		return nil
	case "git":
	default:
		return usage{fmt.Errorf("--outcomes %q is not known; use git or cluster", o.outcomes)}
	}
	author := gitops.Davit()
	if o.key != "" {
		data, err := os.ReadFile(o.key)
		if err != nil {
			return fmt.Errorf("reading the commit key: %w", err)
		}
		if author.Key, err = gitops.ParseKey(data); err != nil {
			return fmt.Errorf("%s: %w", o.key, err)
		}
	}
	to.Name = "davit sync"
	to.Notes, to.Committer = source.NewNotes(author, log), &author
	return nil
}
