package gitops

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

// ErrLedgerLost says that the ledger lost runs that it had: its ref was removed, or set back to what it was before.
var ErrLedgerLost = errors.New("the ledger of runs lost some")

// runFile is a run's file in the ledger's tree.
var runFile = regexp.MustCompile(`^([0-9a-f]{2})/([0-9a-f]{64})\.json$`)

// Ledger reads and writes the runs at [RunsRef]. It remembers what it read, so reading it again costs one check of the
// ref, and what is new. Who may push to that ref can write it: a record that never was keeps a training from running, and
// a removed one lets it run again. Give the right to davit alone where the host can (Gerrit's access to refs/davit/*, a
// pre-receive hook); the commits are signed when the author has a key, for `git log --show-signature`. All methods are
// safe for concurrent use; writes of one Ledger come one after the other.
type Ledger struct {
	source *Source
	author Author
	ref    plumbing.ReferenceName

	mu   sync.Mutex
	tip  Hash           // the commit that was read last
	tree Hash           // and its tree
	runs map[string]Run // that tree's; replaced and never changed, since callers hold it
	// claims have been sent, and nobody knows whether they arrived.
	claims map[string]Run
	noted  Hash // the tip in the file of those seen, as this Ledger wrote or read it
	mute   bool // that the file can't be written was told
}

// NewLedger gives the ledger, which author writes; who only reads it needs none.
func (s *Source) NewLedger(author Author) *Ledger { return s.LedgerAt(RunsRef, author) }

// LedgerAt is the ledger at another ref of the repository: where somebody fetched it to, such as a clone.
func (s *Source) LedgerAt(ref string, author Author) *Ledger {
	return &Ledger{source: s, author: author, ref: plumbing.ReferenceName(ref), runs: map[string]Run{}, claims: map[string]Run{}}
}

// Runs are all runs by their hashes, as they are in the repository now, of the remote itself for a mirror; empty where
// there is no ledger yet. The map and the metrics in it are not to be changed. A ledger that can't be read is an error,
// which names the file, and so is one that lost what this Ledger read of it before, or a process before it in this
// repository or mirror, ErrLedgerLost: nobody may start anything then, for it may have run already.
func (l *Ledger) Runs(ctx context.Context) (map[string]Run, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refresh(ctx); err != nil {
		return nil, err
	}
	return l.runs, nil
}

// refresh brings tip, tree and runs up to date, or leaves all of them. It needs l.mu.
func (l *Ledger) refresh(ctx context.Context) error {
	// First of all: another process writes down a tip after it moved the ref there, so the ref is not behind it.
	before, unread := l.before()
	if err := l.source.refetch(ctx); err != nil {
		return fmt.Errorf("reading the runs of %s: %w", l.ref, err)
	}
	// It finds a ref that git packs at this moment; to look it up by name may not, and that would be an empty ledger.
	refs, err := l.source.store.refs(func(name string) bool { return name == l.ref.String() })
	if err != nil {
		return fmt.Errorf("reading the runs of %s: %w", l.ref, err)
	}
	tip := refs[l.ref.String()]
	if tip == l.tip && !tip.IsZero() {
		return nil
	}
	if unread != nil {
		return fmt.Errorf("reading the runs of %s: %w", l.ref, unread)
	}
	if err := l.kept(ctx, before, tip); err != nil || tip.IsZero() {
		return err
	}
	_, tree, err := l.source.commit(ctx, tip)
	if err == nil {
		err = l.read(ctx, tree)
	}
	if err != nil {
		return fmt.Errorf("reading the runs of %s at %.12s: %w; nothing starts until it is mended", l.ref, tip, err)
	}
	l.tip = tip
	l.note()
	return nil
}

// kept refuses a ledger that went back, by which runs would happen again. One that a person let go is read anew.
func (l *Ledger) kept(ctx context.Context, before, tip Hash) error {
	switch {
	case before.IsZero():
		l.tip, l.tree, l.runs, l.noted = Hash{}, Hash{}, map[string]Run{}, Hash{}
		return nil
	case before == tip:
		l.noted = tip
		return nil
	case tip.IsZero():
		return l.lost(before, "is gone")
	case !l.source.Has(before):
		return l.lost(before, fmt.Sprintf("is at %.12s, and the commits before are not here any more", tip))
	}
	after, err := l.source.IsAncestor(ctx, before, tip)
	if err != nil {
		return fmt.Errorf("reading the runs of %s: %w", l.ref, err)
	}
	if !after {
		return l.lost(before, fmt.Sprintf("is at %.12s, which does not have it", tip))
	}
	return nil
}

// lost says how the ledger comes back, and how a person says that it need not. The push is refused, as it should be, where
// runs were written since that it would take away.
func (l *Ledger) lost(before Hash, how string) error {
	meant := "start davit anew"
	if file := l.seenFile(); file != "" {
		meant = "remove " + file
	}
	restore := fmt.Sprintf("git -C %s push REPOSITORY %s:%s", l.source.Dir(), before, l.ref)
	if l.source.mirror == nil {
		restore = fmt.Sprintf("git -C %s update-ref %s %s", l.source.Dir(), l.ref, before)
	}
	return fmt.Errorf("%w: %s was at %.12s and %s; %s restores it, or %s if that was meant", ErrLedgerLost, l.ref, before, how, restore, meant)
}

// read takes over what differs in another tree.
func (l *Ledger) read(ctx context.Context, tree Hash) error {
	paths, err := l.source.trees.changed(ctx, l.tree, tree)
	if err != nil {
		return err
	}
	runs := maps.Clone(l.runs)
	for _, path := range paths {
		if err := ctx.Err(); err != nil {
			return err
		}
		run, there, err := l.run(tree, path)
		if err != nil {
			return fmt.Errorf("%s:1: %w", path, err)
		}
		if there {
			runs[run.Hash] = run
		} else if parts := runFile.FindStringSubmatch(path); parts != nil {
			delete(runs, parts[2]) // by a person, who wants it to run again
		}
	}
	l.tree, l.runs = tree, runs
	return nil
}

// run decodes one file; there is none when somebody removed it.
func (l *Ledger) run(tree Hash, path string) (run Run, there bool, err error) {
	e, there, err := l.source.trees.at(tree, path)
	if err != nil || !there {
		return Run{}, false, err
	}
	parts := runFile.FindStringSubmatch(path)
	if parts == nil || parts[1] != parts[2][:2] || e.mode != modeFile && e.mode != modeExec {
		return Run{}, false, errors.New("it is no run; the ledger has files <hash[:2]>/<hash>.json alone, remove this one")
	}
	data, err := l.source.store.read(plumbing.BlobObject, e.hash)
	if err != nil {
		return Run{}, false, err
	}
	if run, err = DecodeRun(data); err == nil && run.Hash != parts[2] {
		err = fmt.Errorf("the run's hash is %q", run.Hash)
	}
	if err != nil {
		return Run{}, false, restore(err)
	}
	return run, true, nil
}
