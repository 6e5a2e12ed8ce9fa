package gitops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// Hash is a Git object id.
type Hash = plumbing.Hash

// Config says what to follow of which repository: a branch, a tag, or the newest tag in a range.
type Config struct {
	// URL is a path, a file:// URL or a remote. Credentials in an http(s) URL are used and never printed.
	// A path may lie inside the repository or a linked worktree. Empty means the current folder.
	URL string
	// Branch defaults to HEAD's branch: the worktree's for a local repository, the advertised one for a
	// remote. It is fixed by Open; switching branches in the worktree later does not change it.
	Branch string
	// Tag is followed in place of a branch, wherever it is moved; an annotated one stands for its commit.
	Tag string
	// Semver is a range of versions (">=1.0.0 <2.0.0"): the tag with the greatest one in it is followed in place of a
	// branch. Tags may begin with "v"; pre-releases count where the range names one. What the tags' names begin with may
	// stand before it, up to a slash: "registry/>=1.0.0" for registry/v1.2.0.
	Semver string
	// Folder is where in the repository the registry is, as ParseFolder reads it; the whole repository when empty.
	Folder string
	// Mirror is the folder of the bare mirror of a remote; created when missing, reused when there.
	Mirror string
	// Interval is the time between two ref checks of a remote; 10 s if zero.
	Interval time.Duration
	// Access says how the remote is reached; it is asked for each session, so its answers may change. What it has goes
	// before what is in URL. Nil reaches it as the zero Access, with URL's credentials.
	Access func(ctx context.Context) (Access, error)
	// Log gets trouble that is retried; slog's default if nil.
	Log *slog.Logger
	// Reached is called by Watch after each look at the repository: with nil, or why that failed. May be nil.
	Reached func(error)
	// Looked hears of each look at the repository: how long it took, with what was fetched, and whether it failed. It is
	// called concurrently. May be nil.
	Looked func(took time.Duration, err error)

	versions *versions
	patience time.Duration // in place of listTimeout, for tests
}

// Source is a repository and what is followed in it. All methods are safe for concurrent use.
type Source struct {
	store    *store
	lfsSSH   lfsSSH
	trees    *trees
	log      *slog.Logger
	looked   func(time.Duration, error)
	branch   string
	tag      string
	versions *versions // nil but for a range
	tagOf    sync.Map  // commit -> the followed tag that was there
	folder   string    // of the repository, "" for all of it
	root     string
	mirror   *mirror // nil for a local repository
	// address is the remote's, with credentials; "" for a local repository.
	address string
	reached func(error)
}

// Open opens a local repository, or fetches a remote into its mirror. A remote that can't be reached at
// the moment is no error when the mirror already has the branch: the last fetched tip is served, Watch
// keeps trying.
func Open(ctx context.Context, cfg Config) (*Source, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Interval <= 0 {
		cfg.Interval = 10 * time.Second
	}
	err := checkRef(&cfg)
	if err == nil {
		cfg.Folder, err = ParseFolder(cfg.Folder)
	}
	if err != nil {
		return nil, fmt.Errorf("opening repository: %w", err)
	}
	if IsLocal(cfg.URL) {
		return openLocal(cfg)
	}
	return openRemote(ctx, cfg)
}

func newSource(cfg Config, st *store) *Source {
	if cfg.Reached == nil {
		cfg.Reached = func(error) {}
	}
	if cfg.Looked == nil {
		cfg.Looked = func(time.Duration, error) {}
	}
	return &Source{
		store: st, trees: newTrees(st), log: cfg.Log, looked: cfg.Looked, branch: cfg.Branch, tag: cfg.Tag, versions: cfg.versions,
		folder: cfg.Folder, reached: cfg.Reached,
	}
}

// errDetached is for who wants to follow what is only there to read.
var errDetached = errors.New("HEAD is detached; name the branch to follow")

// Branch is the followed branch, or where tags are followed the one that takes proposals, HEAD's; without refs/heads/, and
// "" when a local repository's HEAD is detached.
func (s *Source) Branch() string { return s.branch }

// Root is the folder of the worktree, or "" for a bare repository and a mirror.
func (s *Source) Root() string { return s.root }

// Path names a local repository: the root of its worktree, or the folder of a bare one. "" for a remote.
func (s *Source) Path() string {
	switch {
	case s.mirror != nil:
		return ""
	case s.root != "":
		return s.root
	}
	return s.store.common
}

// Dir is the Git folder that all worktrees share: objects, refs, and what tools keep beside them.
func (s *Source) Dir() string { return s.store.common }

// Close releases open pack files. Snapshots stay usable; they open the packs again.
func (s *Source) Close() error { return s.store.close() }

// Tip is the followed commit: read from the ref for a local repository, as of the last Fetch for a remote.
func (s *Source) Tip(ctx context.Context) (Hash, error) {
	if err := ctx.Err(); err != nil {
		return Hash{}, err
	}
	if s.Tagged() {
		return s.tagTip()
	}
	return s.Base(ctx)
}

// Fetch brings what is followed up to date and returns its tip, also when it was rewritten. For a local
// repository it is Tip.
func (s *Source) Fetch(ctx context.Context) (tip Hash, err error) {
	defer func(began time.Time) {
		if ctx.Err() == nil {
			s.looked(time.Since(began), err)
		}
	}(time.Now())
	if s.mirror != nil {
		if err := s.mirror.fetch(ctx, s.branch, s.chooser()); err != nil {
			return Hash{}, err
		}
	}
	return s.Tip(ctx)
}

// ParseHash reads a full hex id, as Hash.String prints it; the zero Hash for anything else.
func ParseHash(hex string) Hash {
	if len(hex) != 40 {
		return Hash{}
	}
	return plumbing.NewHash(hex)
}
