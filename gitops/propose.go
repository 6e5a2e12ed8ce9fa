package gitops

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// ErrForeignBranch says that a proposal's branch has somebody else's commits, which davit does not overwrite.
var ErrForeignBranch = errors.New("the branch has commits that are not davit's")

// ErrNoChange says that a proposal would change nothing on its base.
var ErrNoChange = errors.New("there is nothing to change")

// Proposal is one commit for a person, or a forge's pull request, to merge into the followed branch.
type Proposal struct {
	// Branch is where it goes; its name begins with davit/.
	Branch string
	// Base is the commit it is made on.
	Base    Hash
	Files   []FileChange
	Message string
	Author  Author
	// When is the commit's time; now if zero. The same proposal with the same time is the same commit, unless a signature
	// differs: those of ecdsa keys do.
	When time.Time
}

// FileChange is what becomes of one path, which is below the folder.
type FileChange struct {
	Path    string
	Content []byte
	Exec    bool
	// From takes the path as it is at that commit, in place of Content; where it is absent there, the path goes.
	From   Hash
	Delete bool
}

// Propose commits to the proposal's branch and returns the commit. A branch that has this very tree on this base already
// is left alone. One that has another is moved, by compare-and-swap and also backwards, if all its commits that are not
// in the followed branch are the author's own, signed by his key when he has one; else it is ErrForeignBranch. The
// followed branch is never written. A proposal that changes nothing is ErrNoChange.
func (s *Source) Propose(ctx context.Context, p Proposal) (Hash, error) {
	name, err := s.ownBranch(p.Branch)
	if err != nil {
		return Hash{}, fmt.Errorf("proposing: %w", err)
	}
	if p.When.IsZero() {
		p.When = time.Now()
	}
	for race := 0; ; race++ {
		h, err := Hash{}, s.refetch(ctx) // somebody may have deleted the branch, or added to it
		if err == nil {
			h, err = s.propose(ctx, name, p)
		}
		if err == nil {
			return h, nil
		}
		if !errors.Is(err, ErrMoved) || race == maxRaces {
			return Hash{}, fmt.Errorf("proposing on %s: %w", p.Branch, err)
		}
	}
}

func (s *Source) propose(ctx context.Context, name plumbing.ReferenceName, p Proposal) (Hash, error) {
	b := s.newBatch()
	tree, err := s.changedTree(ctx, b, p)
	if err != nil {
		return Hash{}, err
	}
	refs, err := s.store.refs(func(ref string) bool { return ref == name.String() })
	if err != nil {
		return Hash{}, err
	}
	old := refs[name.String()]
	if !old.IsZero() {
		c, has, err := s.commit(ctx, old)
		if err != nil {
			return Hash{}, err
		}
		if has == tree && len(c.Parents) == 1 && c.Parents[0] == p.Base {
			return old, nil
		}
		if err := s.mine(ctx, old, p); err != nil {
			return Hash{}, err
		}
	}
	h, err := b.commit(p.Author, tree, []Hash{p.Base}, p.When, p.Message)
	if err != nil {
		return Hash{}, err
	}
	return h, s.publish(ctx, b, refUpdate{name, old, h})
}

// changedTree is the base's tree with the proposal's changes.
func (s *Source) changedTree(ctx context.Context, b *batch, p Proposal) (Hash, error) {
	_, base, err := s.commit(ctx, p.Base)
	if err != nil {
		return Hash{}, err
	}
	leaves := map[string]leaf{}
	for _, f := range p.Files {
		if err := committable(f.Path); err != nil {
			return Hash{}, err
		}
		var l leaf
		switch {
		case f.Delete:
		case !f.From.IsZero():
			l, err = s.leafAt(ctx, f.From, f.Path)
		default:
			l.mode = modeFile
			if f.Exec {
				l.mode = modeExec
			}
			l.hash, err = b.add(plumbing.BlobObject, f.Content)
		}
		if err != nil {
			return Hash{}, err
		}
		leaves[s.FromRoot(f.Path)] = l
	}
	tree, err := b.edit(ctx, base, leaves)
	if err == nil && tree.IsZero() {
		tree, err = b.add(plumbing.TreeObject, nil)
	}
	if err == nil && tree == base {
		err = ErrNoChange
	}
	return tree, err
}

// committable refuses paths that git refuses to check out.
func committable(name string) error {
	ok := fs.ValidPath(name) && name != "." && !strings.ContainsAny(name, "\x00\\")
	for part := range strings.SplitSeq(name, "/") {
		ok = ok && !strings.EqualFold(part, ".git")
	}
	if !ok {
		return fmt.Errorf("%q is not a path for a commit", name)
	}
	return nil
}

// leafAt is a file as it is at a commit; absent when there is none, or a folder.
func (s *Source) leafAt(ctx context.Context, commit Hash, name string) (leaf, error) {
	snap, err := s.Snapshot(ctx, commit)
	if err != nil {
		return leaf{}, err
	}
	e, err := snap.lookup("read", name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && e.isDir() {
		return leaf{}, nil
	}
	return leaf{e.mode, e.hash}, err
}
