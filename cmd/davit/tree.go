package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// tree opens what a command reads: the revision of --rev, or the worktree as it is, saying on stderr when
// that is dirty. A folder outside Git is read too.
func (a *app) tree(ctx context.Context, stderr io.Writer) (fs.FS, error) {
	if a.rev != "" {
		return a.revision(ctx, a.rev)
	}
	root, err := a.root()
	if err != nil {
		return nil, err
	}
	if source, err := gitops.Open(ctx, gitops.Config{URL: root}); err == nil {
		dirty, err := source.Dirty(ctx)
		if err != nil {
			return nil, err
		}
		if n := len(dirty); n > 0 {
			fmt.Fprintf(stderr, "davit: reading the worktree, which differs from HEAD in %s\n", counted(n, "file"))
		}
	}
	opened, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	return opened.FS(), nil
}

// revision opens the tree of one revision.
func (a *app) revision(ctx context.Context, rev string) (*gitops.Snapshot, error) {
	source, err := a.source(ctx)
	if err != nil {
		return nil, err
	}
	hash, err := source.Resolve(ctx, rev)
	if err != nil {
		return nil, err
	}
	return source.Snapshot(ctx, hash)
}

func (a *app) source(ctx context.Context) (*gitops.Source, error) {
	return gitops.Open(ctx, gitops.Config{URL: a.dir})
}

// root is the nearest folder at or above -C that holds davit.yaml; -C itself when there is none.
func (a *app) root() (string, error) {
	dir, err := filepath.Abs(a.dir)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); err != nil {
		return "", fmt.Errorf("opening the registry: %w; pass -C DIR", err)
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "davit.yaml")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return dir, nil
		}
	}
}

// load reads the registry and prints its faults on stderr; a command that acts goes on with the sound releases.
func (a *app) load(cmd *cobra.Command) (*registry.Registry, error) {
	fsys, err := a.tree(cmd.Context(), cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	models, err := registry.Load(fsys)
	if err != nil {
		return nil, err
	}
	for _, f := range models.Faults {
		fmt.Fprintln(cmd.ErrOrStderr(), f)
	}
	return models, nil
}

// selected are the releases an ENV or ENV/RELEASE argument names; all of them without one.
func selected(models *registry.Registry, args []string) ([]*registry.Release, error) {
	if len(args) == 0 {
		return models.Releases, nil
	}
	match, err := selector(args)
	if err != nil {
		return nil, err
	}
	var out []*registry.Release
	for _, r := range models.Releases {
		if match(r.Key()) {
			out = append(out, r)
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	for _, key := range models.BrokenKeys() {
		if match(key) {
			return nil, fmt.Errorf("%s has a fault: %s", key, models.Broken[key][0])
		}
	}
	return nil, fmt.Errorf("no release %q; davit status or ls releases shows what there is", args[0])
}

// selector is the test for an optional argument ENV or ENV/RELEASE.
func selector(args []string) (func(registry.Key) bool, error) {
	switch {
	case len(args) == 0:
		return func(registry.Key) bool { return true }, nil
	case !strings.Contains(args[0], "/"):
		return func(k registry.Key) bool { return k.Environment == args[0] }, nil
	}
	want, err := registry.ParseKey(args[0])
	if err != nil {
		return nil, usage{err}
	}
	return func(k registry.Key) bool { return k == want }, nil
}

// rest is the cluster of the kubeconfig's context.
func (a *app) rest() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = a.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: a.context}).ClientConfig()
	if err != nil {
		if clientcmd.IsEmptyConfig(err) {
			err = errors.New("no kubeconfig; set KUBECONFIG or pass --kubeconfig FILE")
		}
		return nil, fmt.Errorf("finding the cluster: %w", err)
	}
	config.UserAgent = "davit"
	return config, nil
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
