package gitops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// maxSaid bounds what of a server's messages comes into an error.
const maxSaid = 2000

// What servers say, in the report or beside it, to a write that came too late, and to one that is not allowed.
var (
	saysMoved = regexp.MustCompile(`(?i)incorrect old value|reference already exists|is at [0-9a-f]+ but expected|expected old|failed to (update|lock)|cannot lock ref|unable to (lock|create .*\.lock)|lock error|fetch first|non-fast-forward|stale info|does not point to expected|atomic (transaction|push) fail`)
	saysNo    = regexp.MustCompile(`(?i)read[- ]?only|permission|\bden(y|ied)\b|not (allowed|authori[sz]ed|permitted)|unauthori[sz]ed|protected|declined|hidden ref|prohibited|forbidden|access rights|archived`)
)

// push sends new objects and ref updates in one session: the refs the server advertises tell a lost race before anything
// is sent, and the old values tell one after it. (go-git's own Push walks what it shares with the server first: 1.6 s for
// one note among 10,000, this 25 ms.) The mirror then gets the same objects and refs, so that reads see them.
func (m *mirror) push(ctx context.Context, b *batch, updates []refUpdate) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel() // it also ends the connection, whose answer go-git leaves open
	session, refs, err := m.receiving(ctx, cancel)
	if err != nil {
		return m.refusal(nil, err, strings.ReplaceAll(err.Error(), m.url, ""), "")
	}
	defer session.Close()
	todo, err := outstanding(refs, updates)
	if err != nil {
		return fmt.Errorf("pushing to %s: %w", m.shown, err)
	}
	var pack []byte
	if b != nil {
		if pack, err = b.pack(); err != nil {
			return fmt.Errorf("pushing to %s: %w", m.shown, err)
		}
	}
	if len(todo) > 0 {
		if err := m.send(ctx, session, refs, pack, todo); err != nil {
			return err
		}
	}
	m.adopt(pack, updates)
	return nil
}

// receiving opens a session to push by.
func (m *mirror) receiving(ctx context.Context, cancel func()) (transport.ReceivePackSession, *packp.AdvRefs, error) {
	return greet(ctx, cancel, m, transport.Transport.NewReceivePackSession)
}

// outstanding are the updates that the server does not have yet.
func outstanding(refs *packp.AdvRefs, updates []refUpdate) (todo []refUpdate, err error) {
	for _, u := range updates {
		switch now := refs.References[u.name.String()]; now {
		case u.new:
		case u.old:
			todo = append(todo, u)
		default:
			return nil, fmt.Errorf("%w: %s is at %.12s", ErrMoved, u.name, now)
		}
	}
	return todo, nil
}

func (m *mirror) send(ctx context.Context, session transport.ReceivePackSession, refs *packp.AdvRefs, pack []byte, updates []refUpdate) error {
	req := packp.NewReferenceUpdateRequestFromCapabilities(refs.Capabilities)
	want := []capability.Capability{capability.Sideband64k}
	if len(updates) > 1 {
		want = append(want, capability.Atomic)
	}
	for _, c := range want {
		if refs.Capabilities.Supports(c) {
			if err := req.Capabilities.Set(c); err != nil {
				return err
			}
		}
	}
	said := &said{}
	req.Progress = said
	for _, u := range updates {
		req.Commands = append(req.Commands, &packp.Command{Name: u.name, Old: u.old, New: u.new})
		if !u.new.IsZero() { // a request that only deletes has no pack
			req.Packfile = io.NopCloser(bytes.NewReader(pack))
		}
	}
	report, err := session.ReceivePack(ctx, req)
	switch {
	case report == nil && err == nil:
		return m.refusal(nil, errors.New("the server closed the connection without a report"), "", said.String())
	case report == nil:
		return m.refusal(nil, err, strings.ReplaceAll(err.Error(), m.url, ""), said.String())
	case report.UnpackStatus != "ok":
		return m.refusal(nil, fmt.Errorf("unpacking: %s", report.UnpackStatus), report.UnpackStatus, said.String())
	}
	var refused []error
	var why []string
	for _, s := range report.CommandStatuses {
		if s.Status != "ok" {
			refused = append(refused, fmt.Errorf("%s: %s", s.ReferenceName, s.Status))
			why = append(why, s.Status)
		}
	}
	if len(refused) > 0 {
		return m.refusal(errRefused, errors.Join(refused...), strings.Join(why, ", "), said.String())
	}
	return nil
}

// refusal gives a failed push its kind: by why, and by what the server said beside it where why tells nothing.
func (m *mirror) refusal(kind, err error, why, said string) error {
	switch {
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed), saysNo.MatchString(why):
		kind = ErrReadOnly
	case strings.Contains(said, "exists; cannot create"): // a ref is where another needs a folder
	case saysMoved.MatchString(why):
		kind = ErrMoved
	case saysNo.MatchString(said):
		kind = ErrReadOnly
	case saysMoved.MatchString(said):
		kind = ErrMoved
	}
	if said != "" {
		err = fmt.Errorf("%w (%s)", err, said)
	}
	if err = m.redact(err); kind != nil {
		err = fmt.Errorf("%w: %w", kind, err)
	}
	return fmt.Errorf("pushing to %s: %w", m.shown, err)
}

// adopt gives the mirror what was pushed. Should it fail, the next fetch brings the same.
func (m *mirror) adopt(pack []byte, updates []refUpdate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var err error
	if len(pack) > 0 {
		err = m.store.writePack(bytes.NewReader(pack))
		m.join()
	}
	for _, u := range updates {
		if err == nil {
			err = m.set(u.name, u.new)
		}
	}
	if err != nil {
		m.log.Warn("what was pushed is not in the mirror yet", "url", m.shown, "err", err)
	}
}

// said keeps the beginning of what a server says beside its report: a hook's reasons, mostly.
type said struct{ strings.Builder }

func (s *said) Write(p []byte) (int, error) {
	s.Builder.Write(p[:min(len(p), max(0, maxSaid-s.Len()))])
	return len(p), nil
}

func (s *said) String() string { return strings.Join(strings.Fields(s.Builder.String()), " ") }
