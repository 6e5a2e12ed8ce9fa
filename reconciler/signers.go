package reconciler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// behind is an environment that does not follow the tip, which none of its signers signed.
type behind struct {
	at  *desired // what it stays at; nil when no commit of its signers was found
	why error
}

// of is what an environment is to be: the commit's, or, where none of its signers signed that, an older one's. Nil when
// there is none.
func (d *desired) of(environment string) *desired {
	if d == nil {
		return nil
	}
	if b, ok := d.behind[environment]; ok {
		return b.at
	}
	return d
}

// wanted is what an environment is to be now.
func (r *Reconciler) wanted(environment string) *desired { return r.desired.Load().of(environment) }

// verify finds the environments whose signers did not sign the tip. They stay where they were; after a start that is
// the newest commit that one of them did sign.
func (r *Reconciler) verify(ctx context.Context, next, before *desired) (map[string]behind, error) {
	late := map[string]behind{}
	for name, grant := range r.cfg.Grants {
		if grant.Signers == nil || !r.mine(name) {
			continue
		}
		last := r.cfg.Last[name]
		if at := before.of(name); at != nil {
			last = at.snapshot.Hash()
		}
		err := r.signed(ctx, next.snapshot.Hash(), last, grant)
		var unsigned *gitops.UnsignedError
		switch {
		case err == nil:
			continue
		case !errors.As(err, &unsigned):
			return nil, fmt.Errorf("verifying the signature of %s: %w", next.snapshot.Hash(), err)
		}
		b := behind{at: before.of(name), why: err}
		if before == nil {
			if b.at, err = r.begin(ctx, next.snapshot.Hash(), last, grant); err != nil {
				return nil, err
			}
		}
		if b.at != nil { // without those that were behind it, or there would be a chain of all commits
			at := *b.at
			at.behind = nil
			b.at = &at
		}
		late[name] = b
	}
	return late, nil
}

// begin is where an environment that does not follow the tip begins after a start.
func (r *Reconciler) begin(ctx context.Context, tip, last gitops.Hash, grant Grant) (*desired, error) {
	if grant.Every && r.cfg.Source.Has(last) { // a signed commit after it may have others before it
		return r.desireAt(ctx, last)
	}
	return r.lastSigned(ctx, tip, grant.Signers)
}

// signed is an *gitops.UnsignedError unless an environment's signers signed a tip and, where every commit must be signed,
// all since the one followed last, but for what a person accepted. Where none is recorded the tip's own signature counts
// for what is before it.
func (r *Reconciler) signed(ctx context.Context, tip, last gitops.Hash, grant Grant) error {
	_, err := r.cfg.Source.Verify(ctx, tip, grant.Signers)
	if err != nil || !grant.Every || last.IsZero() {
		return err
	}
	since := []gitops.Hash{last}
	if accept := r.cfg.Accept; r.cfg.Source.Has(accept) {
		if _, err := r.cfg.Source.Verify(ctx, accept, grant.Signers); err == nil {
			since = append(since, accept)
		}
	}
	err = r.cfg.Source.VerifySince(ctx, tip, grant.Signers, since...)
	if errors.As(err, new(*gitops.UnsignedError)) {
		return fmt.Errorf("%w, and is in the history of %.12s, every commit of which must be signed; rewrite it, or accept it with acceptRewrite: %s in the ModelRegistry", err, tip, tip)
	}
	return err
}

// maxUnsigned is how many commits are looked through for a signed one.
const maxUnsigned = 1000

// lastSigned is what the newest signed first-parent commit below a tip asks for.
func (r *Reconciler) lastSigned(ctx context.Context, tip gitops.Hash, signers *gitops.Signers) (*desired, error) {
	var signed gitops.Hash
	n := 0
	err := r.cfg.Source.FirstParents(ctx, tip, func(c gitops.Commit, _ []string) (bool, error) {
		n++
		_, err := r.cfg.Source.Verify(ctx, c.Hash, signers)
		var unsigned *gitops.UnsignedError
		if err == nil {
			signed = c.Hash
		} else if errors.As(err, &unsigned) {
			err = nil
		}
		return signed.IsZero() && n < maxUnsigned, err
	})
	if err != nil || signed.IsZero() {
		return nil, err
	}
	return r.desireAt(ctx, signed)
}

// desireAt is what an older commit asks for.
func (r *Reconciler) desireAt(ctx context.Context, commit gitops.Hash) (*desired, error) {
	snapshot, err := r.cfg.Source.Snapshot(ctx, commit)
	if err != nil {
		return nil, fmt.Errorf("reading commit %s: %w", commit, err)
	}
	models, err := registry.Load(snapshot)
	if err != nil {
		return nil, fmt.Errorf("reading the registry at %s: %w", commit, err)
	}
	return r.desire(ctx, snapshot, models)
}

// UnverifiedError names the environments that do not follow a commit because none of their signers signed it.
type UnverifiedError struct {
	Environments map[string]error
}

func (e *UnverifiedError) Error() string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(e.Environments)) {
		lines = append(lines, fmt.Sprintf("environment %s stays where it is: %v", name, e.Environments[name]))
	}
	return strings.Join(lines, "; ")
}

// unverified is an *UnverifiedError when environments are behind.
func (d *desired) unverified() error {
	if len(d.behind) == 0 {
		return nil
	}
	e := &UnverifiedError{Environments: map[string]error{}}
	for name, b := range d.behind {
		e.Environments[name] = b.why
	}
	return e
}

// touched are the releases that may be new since before: what the commit touched, and everything of an environment that
// follows again, or begins at an older commit.
func (d *desired) touched(before *desired) []registry.Key {
	keys := d.models.Touched()
	if before == nil {
		for _, b := range d.behind {
			if b.at != nil {
				keys = slices.AppendSeq(keys, maps.Keys(b.at.keys))
			}
		}
		return keys
	}
	for key := range d.keys {
		if _, was := before.behind[key.Environment]; was {
			if _, is := d.behind[key.Environment]; !is {
				keys = append(keys, key)
			}
		}
	}
	return keys
}
