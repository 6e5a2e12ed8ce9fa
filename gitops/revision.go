package gitops

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

var (
	hexHash = regexp.MustCompile(`^[0-9a-fA-F]{4,40}$`)
	// ~, ~3, ^, ^2, ^0, repeated (gitrevisions(7))
	suffix = regexp.MustCompile(`^(.+?)((?:[~^][0-9]*)+)$`)
	step   = regexp.MustCompile(`[~^][0-9]*`)
)

// Resolve finds the commit meant by a full or short hash (at least 4 digits), a branch, a tag, HEAD, any
// of these with ~n and ^n, or a revision as davit prints it (main@sha1:<12 hex>). A name wins over a
// short hash, as in git. HEAD of a mirror is the followed branch. Of a remote's tags
// only the followed one is mirrored.
func (s *Source) Resolve(ctx context.Context, rev string) (Hash, error) {
	h, err := s.resolve(ctx, strings.TrimSpace(rev))
	if err != nil {
		if cut, _ := s.IsShallow(); cut && !errors.Is(err, ErrShallow) { // that can't be read is no better reason
			err = fmt.Errorf("%w; %w", err, ErrShallow)
		}
		return Hash{}, fmt.Errorf("resolving %q: %w", rev, err)
	}
	return h, nil
}

func (s *Source) resolve(ctx context.Context, rev string) (Hash, error) {
	if m := suffix.FindStringSubmatch(rev); m != nil {
		h, err := s.resolve(ctx, m[1])
		for _, op := range step.FindAllString(m[2], -1) {
			if err != nil {
				break
			}
			h, err = s.walk(ctx, h, op)
		}
		return h, err
	}
	if _, short, ok := strings.Cut(rev, "@sha1:"); ok {
		return s.byHash(ctx, short)
	}
	if len(rev) == 40 && hexHash.MatchString(rev) {
		return s.byHash(ctx, rev)
	}
	for _, rule := range plumbing.RefRevParseRules {
		if h, err := s.store.ref(plumbing.ReferenceName(fmt.Sprintf(rule, rev))); err == nil {
			return s.peel(h)
		}
	}
	return s.byHash(ctx, rev)
}

func (s *Source) walk(ctx context.Context, h Hash, op string) (Hash, error) {
	n := 1
	if len(op) > 1 {
		var err error
		if n, err = strconv.Atoi(op[1:]); err != nil {
			return Hash{}, err
		}
	}
	shallow, err := s.store.shallow()
	if err != nil {
		return Hash{}, err
	}
	steps, parent := n, 0
	if op[0] == '^' {
		steps, parent = min(n, 1), n-1
	}
	for range steps {
		c, err := s.Commit(ctx, h)
		switch {
		case err != nil:
			return Hash{}, err
		case shallow[h]:
			return Hash{}, errors.New("the history that is here ends before it")
		case len(c.Parents) <= parent:
			return Hash{}, fmt.Errorf("%s has %d parents", h.String()[:12], len(c.Parents))
		}
		h = c.Parents[parent]
	}
	return h, nil
}

func (s *Source) byHash(ctx context.Context, digits string) (Hash, error) {
	if !hexHash.MatchString(digits) {
		return Hash{}, errors.New("there is no such branch, tag or commit")
	}
	digits = strings.ToLower(digits)
	found, err := s.candidates(ctx, digits)
	switch {
	case err != nil:
		return Hash{}, err
	case len(found) == 0:
		return Hash{}, errors.New("there is no such commit")
	case len(found) > 1:
		return Hash{}, fmt.Errorf("it is ambiguous: %s", strings.Join(shorten(found), ", "))
	}
	for h := range found {
		return h, nil
	}
	return Hash{}, nil
}

// candidates are the commits a prefix stands for, through tags too.
func (s *Source) candidates(ctx context.Context, digits string) (map[Hash]bool, error) {
	found := map[Hash]bool{}
	hs := []Hash{plumbing.NewHash(digits)}
	if len(digits) < 40 {
		var err error
		if hs, err = s.prefixed(digits); err != nil {
			return nil, err
		}
	}
	for _, h := range hs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if c, err := s.peel(h); err == nil {
			found[c] = true
		}
	}
	return found, nil
}

func (s *Source) prefixed(digits string) ([]Hash, error) {
	prefix, err := hex.DecodeString(digits[:len(digits)&^1])
	if err != nil {
		return nil, err
	}
	all, err := s.store.withPrefix(prefix)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 { // perhaps in a pack not seen yet
		s.store.refresh()
		if all, err = s.store.withPrefix(prefix); err != nil {
			return nil, err
		}
	}
	hs := all[:0]
	for _, h := range all {
		if strings.HasPrefix(h.String(), digits) {
			hs = append(hs, h)
		}
	}
	return hs, nil
}

// peel follows annotated tags to their commit.
func (s *Source) peel(h Hash) (Hash, error) {
	for range 10 {
		t, err := s.store.typ(h)
		switch {
		case err != nil:
			return Hash{}, err
		case t == plumbing.CommitObject:
			return h, nil
		case t != plumbing.TagObject:
			return Hash{}, fmt.Errorf("%s is a %s and not a commit", h, t)
		}
		raw, err := s.store.read(plumbing.TagObject, h)
		if err != nil {
			return Hash{}, err
		}
		obj := &plumbing.MemoryObject{}
		obj.SetType(plumbing.TagObject)
		if _, err := obj.Write(raw); err != nil {
			return Hash{}, err
		}
		var tag object.Tag
		if err := tag.Decode(obj); err != nil {
			return Hash{}, err
		}
		h = tag.Target
	}
	return Hash{}, errors.New("tags nest too deep")
}

func shorten(hs map[Hash]bool) []string {
	var out []string
	for h := range hs {
		out = append(out, h.String()[:12])
	}
	return out
}
