package gitops

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

const tagRefs = "refs/tags/"

// checkRef gives cfg its range of versions.
func checkRef(cfg *Config) error {
	cfg.Branch = strings.TrimPrefix(cfg.Branch, "refs/heads/")
	cfg.Tag = strings.TrimPrefix(cfg.Tag, tagRefs)
	set := 0
	for _, name := range []string{cfg.Branch, cfg.Tag, cfg.Semver} {
		if name != "" {
			set++
		}
	}
	switch {
	case set > 1:
		return errors.New("only one of branch, tag and semver can be followed")
	case cfg.Tag != "" && plumbing.NewTagReferenceName(cfg.Tag).Validate() != nil:
		return fmt.Errorf("%q is not the name of a tag", cfg.Tag)
	case cfg.Semver == "":
		return nil
	}
	var err error
	cfg.versions, err = parseVersions(cfg.Semver)
	return err
}

// Tagged says that tags are followed and not a branch. What is committed to Branch is then not followed before somebody
// tags it.
func (s *Source) Tagged() bool { return s.tag != "" || s.versions != nil }

// Following names what is followed, for people: "main", "tag v1.2.0", "the newest tag in >=1.0.0".
func (s *Source) Following() string {
	switch {
	case s.tag != "":
		return "tag " + s.tag
	case s.versions != nil:
		return "the newest tag in " + s.versions.text
	}
	return s.branch
}

// Revision names a commit as it was followed: main@sha1:<12 hex>, or v1.2.0@sha1:<12 hex> for one that a followed tag was at.
func (s *Source) Revision(h Hash) string {
	name := s.branch
	if tag, ok := s.tagOf.Load(h); ok {
		name = tag.(string)
	}
	return Commit{Hash: h}.Revision(name)
}

// Base is the commit that proposals are made on: the branch's.
func (s *Source) Base(ctx context.Context) (Hash, error) {
	if err := ctx.Err(); err != nil {
		return Hash{}, err
	}
	if s.branch == "" {
		return Hash{}, errDetached
	}
	h, err := s.store.ref(plumbing.NewBranchReferenceName(s.branch))
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		err = fmt.Errorf("%w %s", errNoBranch, s.branch)
	}
	if err != nil {
		return Hash{}, fmt.Errorf("reading branch %s: %w", s.branch, err)
	}
	return h, nil
}

// tagTip is the commit of the followed tag. In a mirror only those tags are that were followed and are at the server still.
func (s *Source) tagTip() (Hash, error) {
	refs, err := s.store.refs(func(name string) bool { return strings.HasPrefix(name, tagRefs) })
	if err != nil {
		return Hash{}, fmt.Errorf("reading tags: %w", err)
	}
	name, err := s.chooseTag(refs)
	if err != nil {
		return Hash{}, fmt.Errorf("reading tags: %w", err)
	}
	h, err := s.peel(refs[name])
	if err != nil {
		return Hash{}, fmt.Errorf("reading tag %s: %w", name[len(tagRefs):], err)
	}
	s.tagOf.Store(h, name[len(tagRefs):])
	return h, nil
}

// chooseTag is the ref, of some, of the tag to follow.
func (s *Source) chooseTag(refs map[string]Hash) (ref string, err error) {
	if _, there := refs[tagRefs+s.tag]; there && s.tag != "" {
		return tagRefs + s.tag, nil
	}
	var tags []string
	for name := range maps.Keys(refs) {
		if tag, ok := strings.CutPrefix(name, tagRefs); ok {
			tags = append(tags, tag)
		}
	}
	if s.tag != "" {
		return "", missingTag(s.tag, tags)
	}
	tag, err := s.versions.pick(tags)
	return tagRefs + tag, err
}

// chooser chooses among the refs of a server; nil where no tag is followed.
func (s *Source) chooser() func(refs map[string]Hash) (string, error) {
	if !s.Tagged() {
		return nil
	}
	return s.chooseTag
}

// fetchTag adds the tag to what moved: to where the server has it, and away what the server has no more or elsewhere. bases
// are the commits of tags that are here.
func (m *mirror) fetchTag(choose func(map[string]Hash) (string, error), advertised map[string]Hash, moved map[plumbing.ReferenceName]Hash) (bases []plumbing.ReferenceName, err error) {
	name, err := choose(advertised)
	if err != nil {
		return nil, err
	}
	here, err := m.store.refs(func(name string) bool { return strings.HasPrefix(name, tagRefs) })
	if err != nil {
		return nil, err
	}
	for _, other := range slices.Sorted(maps.Keys(here)) {
		bases = append(bases, plumbing.ReferenceName(other))
		if other != name && advertised[other] != here[other] {
			moved[plumbing.ReferenceName(other)] = plumbing.ZeroHash
		}
	}
	if here[name] != advertised[name] {
		moved[plumbing.ReferenceName(name)] = advertised[name]
	}
	return bases[max(0, len(bases)-2):], nil // a request tells of few commits
}

// watched is a ref in the folder where the followed one is.
func (s *Source) watched() string {
	switch {
	case s.tag != "":
		return tagRefs + s.tag
	case s.versions != nil:
		return tagRefs + s.versions.prefix + "v"
	}
	return plumbing.NewBranchReferenceName(s.branch).String()
}
