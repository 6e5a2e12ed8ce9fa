// Package status says what is to be known of a release, in words for people: what serves, what the followed branch asks
// for, what is on its way, what needs a person with the commands that help, and where its version can go next. It goes by
// ModelReleases and ModelRegistries, which it is given, and by the repository. It prints nothing, changes nothing, and knows
// no flags, no HTTP and no cluster: whoever shows it to people asks it, and all of them say the same.
package status

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
)

// Config is what a View goes by. The zero value knows no repository: then nothing is asked for, and commits are not known.
type Config struct {
	// Source is the repository, nil where there is none.
	Source *gitops.Source
	// Tip is the followed branch's commit, in Source; nil when there is none.
	Tip *gitops.Snapshot
	// Models is the registry at Tip, where it is read already. Nil has one release read when that is asked about, and the
	// whole once promotions are.
	Models *registry.Registry
	// Now is the present; nil for [time.Now].
	Now func() time.Time
	// Facts tells what gates ask of a release beside its files; nil has them told by the outcomes in Git, as [Facts] does.
	Facts func(r *registry.Release) gate.Facts
}

// View is what a commit of the followed branch tells of releases. It is safe for concurrent use, and what it read it keeps
// for as long as it lives: a few hundred bytes for each release and commit it was asked about. So a new tip wants a new one.
type View struct {
	cfg Config

	loading sync.Mutex
	whole   *registry.Registry // nil before it is read

	mu      sync.Mutex
	commits map[string]gitops.Commit // zero for what is not in the repository
	asked   map[registry.Key]answer
}

// New makes a View; it reads nothing yet.
func New(cfg Config) *View {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &View{cfg: cfg, whole: cfg.Models, commits: map[string]gitops.Commit{}, asked: map[registry.Key]answer{}}
}

// Models is the whole registry at the tip, read once; there must be a tip. It fails with [registry.ErrNoRegistry] where the
// folder is another's.
func (v *View) Models() (*registry.Registry, error) {
	v.loading.Lock()
	defer v.loading.Unlock()
	if v.whole != nil {
		return v.whole, nil
	}
	models, err := registry.Load(v.cfg.Tip)
	if err != nil {
		return nil, fmt.Errorf("reading the registry at %.12s: %w", v.cfg.Tip.Hash(), err)
	}
	v.whole = models
	return models, nil
}

// Commit is one of the repository, by its hash; false for one that is not in it, and for "".
func (v *View) Commit(ctx context.Context, hash string) (gitops.Commit, bool) {
	if hash == "" || v.cfg.Source == nil {
		return gitops.Commit{}, false
	}
	v.mu.Lock()
	c, known := v.commits[hash]
	v.mu.Unlock()
	if known {
		return c, !c.Hash.IsZero()
	}
	if h, err := v.cfg.Source.Resolve(ctx, hash); err == nil {
		if c, err = v.cfg.Source.Commit(ctx, h); err != nil {
			c = gitops.Commit{}
		}
	}
	if ctx.Err() == nil { // else it may well be there
		v.mu.Lock()
		v.commits[hash] = c
		v.mu.Unlock()
	}
	return c, !c.Hash.IsZero()
}

// Findings tells all there is to know of a release, what matters most first; a healthy one has none. owner is the
// ModelRegistry it belongs to, nil for davit sync. Errors are those of reading the repository.
func (v *View) Findings(ctx context.Context, mr *v1alpha1.ModelRelease, owner *v1alpha1.ModelRegistry) ([]Finding, error) {
	asked, err := v.Asks(ctx, mr)
	if err != nil {
		return nil, err
	}
	s := v.situation(ctx, mr, owner)
	s.behind = asked != nil && !asked.Same && !mr.Pending()
	return findings(mr, s), nil
}

// ToDo is how soon a person is needed for a release, and in a word what to do: the command that helps, what is waited for,
// or "-". It is for lists: the branch is not asked, so that waves are not told of.
func (v *View) ToDo(ctx context.Context, mr *v1alpha1.ModelRelease, owner *v1alpha1.ModelRegistry) (Rank, string) {
	return toDo(mr, findings(mr, v.situation(ctx, mr, owner)))
}

// situation is that of one release.
func (v *View) situation(ctx context.Context, mr *v1alpha1.ModelRelease, owner *v1alpha1.ModelRegistry) situation {
	s := situation{now: v.cfg.Now(), registry: owner}
	if v.cfg.Tip == nil {
		return s
	}
	s.tip = v.cfg.Tip.Hash().String()
	held := mr.Status.Held
	if held == nil {
		return s
	}
	if c, ok := v.Commit(ctx, held.Commit); ok {
		s.merge = len(c.Parents) > 1
	}
	for _, branch := range []string{"davit/revert/" + releaseOf(mr), "origin/davit/revert/" + releaseOf(mr)} {
		if hash, err := v.cfg.Source.Resolve(ctx, branch); err == nil && s.proposal == "" {
			if merged, err := v.cfg.Source.IsAncestor(ctx, hash, v.cfg.Tip.Hash()); err == nil && !merged {
				s.proposal = branch
			}
		}
	}
	return s
}
