package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/gitops"
)

// refOptions say what to follow in place of a branch, and where in the repository.
type refOptions struct{ tag, semver, path string }

func (o *refOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.tag, "tag", "", "follow a tag instead of a branch, wherever it is moved")
	f.StringVar(&o.semver, "semver", "", `follow the newest tag in a range of versions instead of a branch: ">=1.0.0 <2.0.0"`)
	f.StringVar(&o.path, "path", "", "the folder of the repository that holds the registry (default: of -C the nearest with a davit.yaml, of --repo its root)")
}

// place adds what refOptions say.
func (a *app) place(o *syncOptions, cfg *gitops.Config) (err error) {
	if o.branch != "" && (o.ref.tag != "" || o.ref.semver != "") || o.ref.tag != "" && o.ref.semver != "" {
		return usage{errors.New("--branch, --tag and --semver exclude each other; with a tag, proposals go to HEAD's branch")}
	}
	cfg.Tag, cfg.Semver, cfg.Folder = o.ref.tag, o.ref.semver, o.ref.path
	if cfg.Folder == "" && o.repo == "" {
		cfg.Folder, err = a.folder()
		return err
	}
	if _, err := gitops.ParseFolder(cfg.Folder); err != nil {
		return usage{err}
	}
	return nil
}
