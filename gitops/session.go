package gitops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// maxHaves bounds the commits told to a server: the tip, and first parents 1, 2, 4, … below it, so that a
// branch that was rewritten does not cost a clone.
const maxHaves = 7

// fetch brings the branch, the tag that choose names if it is not nil, and davit's own refs up to date in one session: what the server advertises is the ref check, and only a
// branch that moved asks for objects. go-git's own Fetch opens two stores and walks up to 256 commits of every
// ref for the same; it stays for servers whose answer this does not understand.
func (m *mirror) fetch(ctx context.Context, branch string, choose func(map[string]Hash) (string, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	session, refs, err := m.advertised(ctx, cancel)
	if err != nil {
		return m.explain("listing refs of", err)
	}
	defer session.Close()
	name := plumbing.NewBranchReferenceName(branch)
	want, ok := refs.References[name.String()]
	if !ok {
		return fmt.Errorf("fetching %s: %w %s", m.shown, errNoBranch, branch)
	}
	moved, err := m.moved(refs.References)
	if err != nil {
		return fmt.Errorf("fetching %s: %w", m.shown, err)
	}
	bases := []plumbing.ReferenceName{name}
	if len(moved) > 0 {
		bases = append(bases, NotesRef, RunsRef)
	}
	if have, err := m.store.ref(name); err != nil || have != want {
		moved[name] = want
	}
	if choose != nil {
		tags, err := m.fetchTag(choose, refs.References, moved)
		if err != nil {
			return fmt.Errorf("fetching %s: %w", m.shown, err)
		}
		bases = append(bases, tags...)
	}
	if missing := m.store.missing(moved); len(missing) > 0 {
		if err := m.objects(ctx, session, refs, missing, m.store.haves(bases...)); err != nil {
			if ctx.Err() != nil {
				return m.explain("fetching", err)
			}
			return m.porcelain(ctx, branch, moved)
		}
		m.join()
	}
	for name, h := range moved {
		if err := m.set(name, h); err != nil {
			return fmt.Errorf("fetching %s: %w", m.shown, err)
		}
	}
	return nil
}

// set moves a ref of the mirror to where the server has it, and remembers that.
func (m *mirror) set(name plumbing.ReferenceName, h Hash) error {
	if err := m.store.setRef(name, h); err != nil {
		return err
	}
	if h.IsZero() {
		delete(m.seen, name.String())
	} else if m.seen != nil && own(name.String()) {
		m.seen[name.String()] = h
	}
	return nil
}

// own tells davit's refs: the outcomes, the runs and the proposals.
func own(name string) bool {
	return name == NotesRef || name == RunsRef || strings.HasPrefix(name, "refs/heads/"+ownPrefix)
}

// moved are those of davit's own refs that are elsewhere than here, with the zero hash for those that are gone. Most
// fetches find all of them as the last one did, and read no file for it.
func (m *mirror) moved(advertised map[string]Hash) (map[plumbing.ReferenceName]Hash, error) {
	if m.seen == nil {
		var err error
		if m.seen, err = m.store.refs(own); err != nil {
			return nil, err
		}
	}
	moved := map[plumbing.ReferenceName]Hash{}
	for name, h := range advertised {
		if own(name) && m.seen[name] != h {
			moved[plumbing.ReferenceName(name)] = h
		}
	}
	for name := range m.seen {
		if _, there := advertised[name]; !there {
			moved[plumbing.ReferenceName(name)] = plumbing.ZeroHash
		}
	}
	return moved, nil
}

// advertised opens a session to fetch by.
func (m *mirror) advertised(ctx context.Context, cancel func()) (transport.UploadPackSession, *packp.AdvRefs, error) {
	return greet(ctx, cancel, m, transport.Transport.NewUploadPackSession)
}

// greet opens a session and reads what the server advertises. One that says nothing for too long ends ctx, and with it
// whatever waits for the server. The session must not outlive ctx.
func greet[S transport.Session](ctx context.Context, cancel func(), m *mirror, open func(transport.Transport, *transport.Endpoint, transport.AuthMethod) (S, error)) (none S, refs *packp.AdvRefs, err error) {
	impatient := time.AfterFunc(m.patience, cancel)
	defer func() {
		switch silent := !impatient.Stop(); {
		case err == nil:
		case silent:
			err = fmt.Errorf("no answer in %s (%w)", m.patience, err)
		case ctx.Err() != nil:
			err = fmt.Errorf("%w (%w)", ctx.Err(), err) // of a connection that it closed
		}
	}()
	c, endpoint, auth, err := m.dial(ctx)
	if err != nil {
		return none, nil, err
	}
	session, err := open(c, endpoint, auth)
	if err != nil {
		return none, nil, err
	}
	if refs, err = session.AdvertisedReferencesContext(ctx); err != nil {
		session.Close()
		return none, nil, err
	}
	return session, refs, nil
}

// objects asks for commits and what of their history is not below those that are here.
func (m *mirror) objects(ctx context.Context, session transport.UploadPackSession, refs *packp.AdvRefs, wants, haves []Hash) error {
	if len(refs.Shallows) > 0 {
		return errors.New("the remote is shallow")
	}
	req := packp.NewUploadPackRequestFromCapabilities(refs.Capabilities)
	req.Wants, req.Haves = wants, haves
	if refs.Capabilities.Supports(capability.NoProgress) {
		if err := req.Capabilities.Set(capability.NoProgress); err != nil {
			return err
		}
	}
	answer, err := session.UploadPack(ctx, req)
	if err != nil {
		return err
	}
	defer answer.Close()
	var pack io.Reader = answer
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		pack = sideband.NewDemuxer(sideband.Sideband64k, answer)
	case req.Capabilities.Supports(capability.Sideband):
		pack = sideband.NewDemuxer(sideband.Sideband, answer)
	}
	if err := m.store.writePack(pack); err != nil {
		return err
	}
	for _, want := range wants {
		if !m.store.has(want) {
			return fmt.Errorf("the server sent a pack without %s", want)
		}
	}
	return nil
}

// join keeps the number of packs bounded. That it could not is no reason to stop following.
func (m *mirror) join() {
	joined, err := join(filepath.Join(m.store.common, "objects", "pack"))
	if err != nil {
		m.log.Warn("packs of the mirror not joined", "url", m.shown, "err", err)
	}
	if joined {
		m.store.refresh()
	}
}
