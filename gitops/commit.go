package gitops

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Person is an author or committer, as the commit states it; nothing here is verified.
type Person struct {
	Name, Email string
	When        time.Time
}

// Commit is what davit tells about one commit. Subject is the first paragraph on one line, as git's %s;
// Body is what follows it.
type Commit struct {
	Hash              Hash
	Parents           []Hash
	Author, Committer Person
	Subject, Body     string
}

// Revision names the commit on a branch: main@sha1:<12 hex>. Resolve takes it.
func (c Commit) Revision(branch string) string {
	return branch + "@sha1:" + c.Hash.String()[:12]
}

// Commit reads one commit.
func (s *Source) Commit(ctx context.Context, h Hash) (Commit, error) {
	c, _, err := s.commit(ctx, h)
	return c, err
}

// commit also gives the hash of the commit's tree.
func (s *Source) commit(ctx context.Context, h Hash) (Commit, Hash, error) {
	if err := ctx.Err(); err != nil {
		return Commit{}, Hash{}, err
	}
	raw, err := s.store.read(plumbing.CommitObject, h)
	if err != nil {
		return Commit{}, Hash{}, err
	}
	return parseCommit(h, raw)
}

func parseCommit(h Hash, raw []byte) (Commit, Hash, error) {
	obj := &plumbing.MemoryObject{}
	obj.SetType(plumbing.CommitObject)
	if _, err := obj.Write(raw); err != nil {
		return Commit{}, Hash{}, err
	}
	var c object.Commit
	if err := c.Decode(obj); err != nil {
		return Commit{}, Hash{}, fmt.Errorf("reading commit %s: %w", h, err)
	}
	subject, body := message(c.Message)
	return Commit{
		Hash: h, Parents: c.ParentHashes,
		Author: person(c.Author), Committer: person(c.Committer),
		Subject: subject, Body: body,
	}, c.TreeHash, nil
}

func person(s object.Signature) Person { return Person{s.Name, s.Email, s.When} }

func message(m string) (subject, body string) {
	m = strings.Trim(strings.ReplaceAll(m, "\r\n", "\n"), "\n")
	subject, body, _ = strings.Cut(m, "\n\n")
	return strings.Join(strings.Fields(subject), " "), strings.Trim(body, "\n")
}
