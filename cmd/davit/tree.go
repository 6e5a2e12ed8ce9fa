package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

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
	opened, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	folder, err := gitops.FolderOf(root)
	if err != nil {
		return nil, err
	}
	source, err := gitops.Open(ctx, gitops.Config{URL: root, Folder: folder})
	if err != nil {
		return opened.FS(), nil
	}
	dirty, err := source.Dirty(ctx)
	if err != nil {
		return nil, err
	}
	w := worktree{FS: opened.FS(), source: source}
	if n := len(dirty); n > 0 {
		fmt.Fprintf(stderr, "davit: reading the worktree, which differs from HEAD in %s\n", counted(n, "file"))
	}
	head, err := source.Resolve(ctx, "HEAD")
	if err != nil { // there may be no commit yet
		return w, nil
	}
	if len(dirty) == 0 {
		w.commit = head.String()
	}
	w.checkout, err = newCheckout(ctx, source, head, dirty)
	return w, err
}

// worktree is the files of a repository as they lie there, and what a snapshot would know beside them.
type worktree struct {
	fs.FS
	source   *gitops.Source
	commit   string    // HEAD's when the files are just that; empty when they differ
	checkout *checkout // nil before the first commit
}

// Lstat and ReadLink let it be seen that a file is a symbolic link.
func (w worktree) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(w.FS, name) }

func (w worktree) ReadLink(name string) (string, error) { return fs.ReadLink(w.FS, name) }

// LFS is where Git LFS keeps what the files point to.
func (w worktree) LFS() (server *url.URL, objects string, err error) { return w.source.LFS(w.FS) }

// LFSTransport is how that is reached.
func (w worktree) LFSTransport(next http.RoundTripper) http.RoundTripper {
	return w.source.LFSTransport(next)
}

// Origin is where the files come from.
func (w worktree) Origin() (repository, commit string) { return w.source.Origin(), w.commit }

// revision opens the tree of one revision.
func (a *app) revision(ctx context.Context, rev string) (*gitops.Snapshot, error) {
	source, err := a.source(ctx)
	if err != nil {
		return nil, err
	}
	hash, err := source.Resolve(ctx, rev)
	if err != nil {
		return nil, fmt.Errorf("%w; name a branch, a tag or a commit, and git fetch what is not here", err)
	}
	return source.Snapshot(ctx, hash)
}

// root is the nearest folder at or above -C that holds davit.yaml, within its repository; -C itself when there is none.
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
		if at == filepath.Dir(at) || isTop(at) {
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
		fmt.Fprintln(cmd.ErrOrStderr(), plainLines(f.String()))
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
	return nil, fmt.Errorf("no release %q; davit find shows what there is", args[0])
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

// answerTime is how long a cluster may take for one answer to a command that ends.
var answerTime = 10 * time.Second

// rest is the cluster of the kubeconfig's context, for a command that ends: one that does not answer is given up.
func (a *app) rest() (*rest.Config, error) {
	config, err := a.follow()
	if err != nil {
		return nil, err
	}
	config.Timeout = answerTime
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &answering{next, config.Host} })
	return config, nil
}

// answering says of which cluster there is no answer.
type answering struct {
	next http.RoundTripper
	host string
}

// RoundTrip is of [http.RoundTripper].
func (a *answering) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := a.next.RoundTrip(r)
	if err != nil && !errors.Is(err, context.Canceled) {
		err = fmt.Errorf("no answer from the API server %s: %w; --kubeconfig and --context name another", a.host, err)
	}
	return response, err
}

// follow is the cluster for a command that goes on until it is ended, and watches.
func (a *app) follow() (*rest.Config, error) {
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
