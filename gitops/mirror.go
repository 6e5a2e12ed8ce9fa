package gitops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

const (
	// go-git has no timeouts of its own; a silent server must not stop Watch for ever.
	listTimeout  = 30 * time.Second
	fetchTimeout = 10 * time.Minute
)

var errNoBranch = errors.New("it has no branch")

// mirror fetches one branch of a remote, and davit's own refs, into a bare repository, and pushes from there.
type mirror struct {
	remote
	store    *store
	reach    *reach
	log      *slog.Logger
	interval time.Duration
	patience time.Duration // with a server that says nothing before it lists its refs
	mu       sync.Mutex    // one fetch at a time
	// seen is where the server has davit's own refs, as far as the mirror has them there too.
	seen map[string]Hash
	wake chan struct{}
	bare sync.Once // it was told that credentials go over the network in clear
}

func openRemote(ctx context.Context, cfg Config) (*Source, error) {
	r, err := parseRemote(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("opening repository: %w", err)
	}
	if cfg.Mirror == "" {
		return nil, fmt.Errorf("opening repository %s: Config.Mirror is not set", r.shown)
	}
	st, err := openMirror(cfg.Mirror)
	if err != nil {
		return nil, fmt.Errorf("opening mirror %s: %w", cfg.Mirror, err)
	}
	m := &mirror{remote: r, store: st, reach: &reach{ask: cfg.Access}, log: cfg.Log, interval: cfg.Interval, patience: cmp.Or(cfg.patience, listTimeout), wake: make(chan struct{}, 1)}
	online := m.follow(ctx, &cfg)
	s := newSource(cfg, st)
	s.mirror, s.address = m, cfg.URL
	if online == nil {
		_, online = s.Fetch(ctx)
	}
	if online == nil {
		return s, nil
	}
	if tip, err := s.Tip(ctx); cfg.Branch == "" || err != nil || !outage(ctx, online) {
		return nil, online
	} else {
		s.log.Warn("remote is unreachable, serving its mirror", "url", r.shown, "tip", tip.String(), "err", online)
	}
	return s, nil
}

func openMirror(dir string) (*store, error) {
	if !isGitDir(dir) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		// HEAD is written last, so an init that was cut short is found here again.
		if err := os.Remove(filepath.Join(dir, "HEAD")); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if _, err := git.PlainInit(dir, true); err != nil {
			return nil, err
		}
	}
	if err := sweep(filepath.Join(dir, "objects/pack")); err != nil {
		return nil, err
	}
	st := newStore(dir, dir)
	return st, st.supported()
}

// sweep removes what fetches that were cut short left behind: go-git would take the beginning of an index for
// the whole when the same pack came again. What is young may be another process's fetch.
func sweep(packs string) error {
	entries, err := os.ReadDir(packs)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < fetchTimeout {
			continue
		}
		name := filepath.Join(packs, e.Name())
		stale := strings.HasPrefix(e.Name(), "tmp_")
		for ext, other := range map[string]string{".idx": ".pack", ".pack": ".idx"} {
			if base, ok := strings.CutSuffix(name, ext); ok {
				_, err := os.Stat(base + other)
				stale = errors.Is(err, os.ErrNotExist)
			}
		}
		if stale {
			if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// follow settles the branch: the named one, the advertised HEAD's, or the one the mirror followed last,
// which the error then accompanies. The mirror's HEAD remembers it.
func (m *mirror) follow(ctx context.Context, cfg *Config) error {
	if cfg.Branch == "" {
		refs, err := m.list(ctx)
		if err != nil {
			cfg.Branch, _ = m.store.head()
			return err
		}
		if cfg.Branch = headBranch(refs); cfg.Branch == "" {
			return fmt.Errorf("opening repository %s: HEAD names no branch (%w); name the branch to follow", m.shown, errNoBranch)
		}
	}
	return m.store.setHead(cfg.Branch)
}

func headBranch(refs []*plumbing.Reference) string {
	for _, r := range refs {
		if r.Name() == plumbing.HEAD && r.Type() == plumbing.SymbolicReference {
			return r.Target().Short()
		}
	}
	return ""
}

// list is the ref check: one request, no objects.
func (m *mirror) list(ctx context.Context) ([]*plumbing.Reference, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	session, advertised, err := m.advertised(ctx, cancel)
	if err != nil {
		return nil, m.explain("listing refs of", err)
	}
	defer session.Close()
	named, err := advertised.AllReferences()
	if err != nil {
		return nil, m.explain("listing refs of", err)
	}
	refs := make([]*plumbing.Reference, 0, len(named))
	for _, ref := range named {
		refs = append(refs, ref)
	}
	return refs, nil
}

// porcelain is go-git's own Fetch, of the branch and of refs that moved.
func (m *mirror) porcelain(ctx context.Context, branch string, moved map[plumbing.ReferenceName]Hash) error {
	name := plumbing.NewBranchReferenceName(branch)
	specs := []config.RefSpec{config.RefSpec("+" + name + ":" + name)}
	for other, h := range moved {
		if other != name && !h.IsZero() {
			specs = append(specs, config.RefSpec("+"+other+":"+other))
		}
	}
	_, endpoint, auth, err := m.dial(ctx)
	if err != nil {
		return m.explain("fetching", err)
	}
	access, _, err := m.reach.now(ctx)
	if err != nil {
		return m.explain("fetching", err)
	}
	options := &git.FetchOptions{
		Auth:         auth,
		ClientCert:   access.Certificate,
		ClientKey:    access.Key,
		CABundle:     access.CA,
		ProxyOptions: access.gitProxy(ctx, endpoint),
		RefSpecs:     specs,
		Tags:         git.NoTags,
		Force:        true,
	}
	err = m.git().FetchContext(ctx, options)
	m.store.refresh()
	switch {
	case err == nil, errors.Is(err, git.NoErrAlreadyUpToDate):
		return nil
	case errors.Is(err, git.NoMatchingRefSpecError{}):
		return fmt.Errorf("fetching %s: %w %s", m.shown, errNoBranch, branch)
	}
	return m.explain("fetching", err)
}

// git builds the remote on a storage of its own, so that readers do not wait for the network. The
// address lives in memory only: nothing with a credential is written to the mirror's config.
func (m *mirror) git() *git.Remote {
	return git.NewRemote(m.store.open(), &config.RemoteConfig{Name: "origin", URLs: []string{m.url}})
}

func (m *mirror) explain(doing string, err error) error {
	err = m.redact(err)
	hint := ""
	switch {
	case strings.Contains(err.Error(), "no space after hash"): // the advertisement is longer than SHA-1's
		return fmt.Errorf("%s %s: its object ids are not SHA-1, and davit reads SHA-1 repositories only", doing, m.shown)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		hint = "; push a first commit"
	case noHead(err):
		hint = "; its HEAD is detached from every branch, which go-git can't read"
	}
	if hint == "" {
		hint = m.advice(err)
	}
	return fmt.Errorf("%s %s: %w%s", doing, m.shown, err, hint)
}

// outage tells a server that can't be reached from one that gave an answer davit must not overrule
// with old data.
func outage(ctx context.Context, err error) bool {
	for _, answer := range []error{
		transport.ErrAuthenticationRequired, transport.ErrAuthorizationFailed,
		transport.ErrRepositoryNotFound, transport.ErrEmptyRemoteRepository,
	} {
		if errors.Is(err, answer) {
			return false
		}
	}
	return ctx.Err() == nil && !refused(err) && !noHead(err) && !errors.Is(err, errNoBranch) && !errors.Is(err, errNoTag)
}

// noHead: go-git reads no refs at all when HEAD is a commit that no branch has. Its UnexpectedError does
// not unwrap.
func noHead(err error) bool {
	return strings.HasSuffix(err.Error(), plumbing.ErrReferenceNotFound.Error()) ||
		strings.Contains(err.Error(), plumbing.ErrReferenceNotFound.Error()+"; ")
}
