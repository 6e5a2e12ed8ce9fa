package reconciler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
)

// The trailers of commits that hasten what they change; the commits must be signed by a key of the role [registry.Urgent].
const (
	urgentTrailer = "Davit-Urgent" // through a freeze, and why
	soakTrailer   = "Davit-Soak"   // with less time between waves
)

// change is what a release waits to be changed by.
type change struct {
	opens  func(path string) bool // the files that may change it
	since  gitops.Hash            // the commit that is applied; zero for a new release
	inputs string                 // those that are applied
	birth  string                 // the file that a new release began with
}

// urgent says by whom all that changes a release since what is applied was signed as urgent; nil with what to do when it
// was not. Commits that leave its inputs as they were are no matter, nor are those that were let through before.
func (r *Reconciler) urgent(ctx context.Context, want *desired, s *state, of change, policy registry.Policy) (signed *v1alpha1.Urgent, why string, err error) {
	signers, err := roleSigners(policy.Roles[registry.Urgent])
	if err != nil {
		return nil, "", err
	}
	if signers == nil {
		return nil, "; only ways back pass: no key has the role " + registry.Urgent, nil
	}
	passed := s.letThrough()
	err = r.cfg.Source.FirstParents(ctx, want.snapshot.Hash(), func(c gitops.Commit, paths []string) (bool, error) {
		if c.Hash == of.since {
			return false, nil
		}
		if !slices.ContainsFunc(paths, of.opens) || passed[c.Hash.String()] {
			return true, nil
		}
		value, by, refused, err := r.signedTrailer(ctx, c, urgentTrailer, paths, of.opens, signers)
		if err != nil {
			return false, err
		}
		if by == "" {
			moves, nets, err := r.movedBy(ctx, s.key, c, of.inputs)
			if err != nil || !moves {
				return err == nil, err
			}
			if !nets {
				signed, why = nil, refused
			}
			return false, nil
		}
		if signed == nil {
			signed = &v1alpha1.Urgent{By: by, Reason: value}
		}
		born, err := r.bornAt(ctx, c, of.birth, paths)
		return !born, err
	})
	if err != nil {
		return nil, "", fmt.Errorf("looking for what is urgent of %s: %w", s.key, err)
	}
	if signed == nil {
		if why != "" {
			why = " (" + why + ")"
		}
		return nil, "; an urgent fix passes as a commit with the trailer " + urgentTrailer + ": REASON, signed by a key of the role " + registry.Urgent + why, nil
	}
	return signed, "", nil
}

// letThrough are the commits of which the release has an outcome: nothing kept them back.
func (s *state) letThrough() map[string]bool {
	passed := map[string]bool{}
	if s.release != nil {
		for _, o := range s.release.Status.Outcomes {
			passed[o.Commit] = true
		}
	}
	return passed
}

// movedBy says whether a first-parent commit changed a release's inputs, and whether they were those that are applied after
// it: it and what came before it, a change and its revert, are nothing then.
func (r *Reconciler) movedBy(ctx context.Context, key registry.Key, c gitops.Commit, applied string) (moves, nets bool, err error) {
	is, err := r.inputsAt(ctx, key, c.Hash)
	if err != nil || len(c.Parents) == 0 {
		return true, false, err
	}
	was, err := r.inputsAt(ctx, key, c.Parents[0])
	return is != was, is == applied && applied != "", err
}

// inputsAt are a release's at a commit; "" where it was not there or had a fault.
func (r *Reconciler) inputsAt(ctx context.Context, key registry.Key, commit gitops.Hash) (string, error) {
	snapshot, err := r.cfg.Source.Snapshot(ctx, commit)
	if err != nil {
		return "", fmt.Errorf("reading commit %s: %w", commit, err)
	}
	release, err := releaseIn(snapshot, key)
	if _, stuck := errors.AsType[*stuckError](err); stuck {
		return "", nil
	} else if err != nil {
		return "", err
	}
	return InputKey(r.withGranted(release), snapshot)
}

// bornAt says whether a commit added the file that a release began with.
func (r *Reconciler) bornAt(ctx context.Context, c gitops.Commit, file string, paths []string) (bool, error) {
	if file == "" || !slices.Contains(paths, file) || len(c.Parents) == 0 {
		return false, nil
	}
	before, err := r.cfg.Source.Snapshot(ctx, c.Parents[0])
	if err != nil {
		return false, fmt.Errorf("reading commit %s: %w", c.Parents[0], err)
	}
	_, err = fs.Stat(before, file)
	return errors.Is(err, fs.ErrNotExist), nil
}

// signedTrailer is the value of a commit's trailer and whose key signed it, or why it does not count. A merge that a forge
// made bears neither: then all that it merged and that touched the release must, and be all that it changed of it.
func (r *Reconciler) signedTrailer(ctx context.Context, c gitops.Commit, name string, paths []string, opens func(string) bool, signers *gitops.Signers) (value, by, refused string, err error) {
	value, has := c.Trailer(name)
	if has || len(c.Parents) != 2 {
		by, refused, err = r.signer(ctx, c, name, signers)
		return value, by, refused, err
	}
	n := 0
	err = r.cfg.Source.Merged(ctx, c.Hash, func(m gitops.Commit, touched []string) (bool, error) {
		if !slices.ContainsFunc(touched, opens) {
			return true, nil
		}
		n++
		if own, ok := m.Trailer(name); ok {
			value = own
		}
		by, refused, err = r.signer(ctx, m, name, signers)
		return by != "" && n < maxMerged, err
	})
	if err != nil || by == "" || n == maxMerged {
		return "", "", cmp.Or(refused, fmt.Sprintf("commit %.12s does not ask for it with the trailer %s", c.Hash, name)), err
	}
	same, err := r.asMerged(ctx, c, paths, opens)
	if err != nil || same {
		return value, by, "", err
	}
	return "", "", fmt.Sprintf("merge %.12s changes more than what it merged: rebase that, or sign the merge", c.Hash), nil
}

// maxMerged is how many commits of a merge are looked at.
const maxMerged = 1000

// signer is who signed a commit that has a trailer, or why that does not count.
func (r *Reconciler) signer(ctx context.Context, c gitops.Commit, name string, signers *gitops.Signers) (by, refused string, err error) {
	if value, has := c.Trailer(name); !has || value == "" {
		return "", fmt.Sprintf("commit %.12s does not ask for it with the trailer %s", c.Hash, name), nil
	}
	by, err = r.cfg.Source.Verify(ctx, c.Hash, signers)
	if unsigned, is := errors.AsType[*gitops.UnsignedError](err); is {
		return "", fmt.Sprintf("%v: its trailer %s counts with a signature by a key of the role %s", unsigned, name, registry.Urgent), nil
	}
	return by, "", err
}

// asMerged says that a merge left the files as the branch had them that it merged.
func (r *Reconciler) asMerged(ctx context.Context, c gitops.Commit, paths []string, opens func(string) bool) (bool, error) {
	merge, err := r.cfg.Source.Snapshot(ctx, c.Hash)
	if err != nil {
		return false, err
	}
	branch, err := r.cfg.Source.Snapshot(ctx, c.Parents[1])
	if err != nil {
		return false, err
	}
	for _, p := range paths {
		if !opens(p) {
			continue
		}
		is, err := merge.BlobHash(p)
		was, err2 := branch.BlobHash(p)
		if is != was || (err == nil) != (err2 == nil) {
			return false, nil
		}
	}
	return true, nil
}

// roleSigners are the keys of a role; nil when it has none.
func roleSigners(lines []string) (*gitops.Signers, error) {
	var text strings.Builder
	for _, line := range lines {
		key, comment, err := gate.ParseKey(line)
		if err != nil {
			return nil, &stuckError{fmt.Errorf("key %q of the role %s: %w", line, registry.Urgent, err)} // told where it was read
		}
		who := strings.Join(strings.Fields(comment), "-")
		if who == "" || strings.HasPrefix(who, "#") {
			who = ssh.FingerprintSHA256(key)
		}
		fmt.Fprintf(&text, "%s %s", who, ssh.MarshalAuthorizedKey(key))
	}
	if text.Len() == 0 {
		return nil, nil
	}
	return gitops.ParseSigners(text.String())
}
