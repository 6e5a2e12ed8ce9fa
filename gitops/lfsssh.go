package gitops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
)

// lfsKept is how long an answer of git-lfs-authenticate is gone by at most, also that there is none: a model has hundreds of
// files, and each asks.
const lfsKept = 5 * time.Minute

// lfsAnswer is where an ssh host says its LFS server is and what opens it, of git-lfs's docs/api/authentication.md.
type lfsAnswer struct {
	Href      string            `json:"href"` // the address that is discovered when empty
	Header    map[string]string `json:"header"`
	ExpiresIn int64             `json:"expires_in"` // seconds; it goes before ExpiresAt
	ExpiresAt time.Time         `json:"expires_at"`
}

// lfsSSH asks the ssh host of a remote for the credentials of its LFS server. The zero value has asked nothing. It may be
// used concurrently, and then asks once.
type lfsSSH struct {
	mu     sync.Mutex
	answer *lfsAnswer // nil: the host has no such command
	until  time.Time
}

// authorize sends a request for the discovered server where the host says, with what opens that; as it is where the host
// has no such command.
func (l *lfsSSH) authorize(req *http.Request, remote string, ask func(ctx context.Context, command string) ([]byte, error)) (*http.Request, error) {
	answer, err := l.now(req.Context(), remote, ask)
	if err != nil || answer == nil {
		return req, err
	}
	req = req.Clone(req.Context())
	if answer.Href != "" {
		server, err := url.Parse(answer.Href)
		if err != nil || server.Scheme != "http" && server.Scheme != "https" || server.Host == "" {
			return nil, errors.New("git-lfs-authenticate: href is not an http or https address") // it may hold credentials
		}
		req.URL, req.Host = server.JoinPath("objects/batch"), ""
	}
	for key, value := range answer.Header {
		req.Header.Set(key, value)
	}
	return req, nil
}

func (l *lfsSSH) now(ctx context.Context, remote string, ask func(ctx context.Context, command string) ([]byte, error)) (*lfsAnswer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Now().Before(l.until) {
		return l.answer, nil
	}
	endpoint, err := transport.NewEndpoint(remote)
	if err != nil {
		return nil, err
	}
	out, err := ask(ctx, "git-lfs-authenticate "+quoted(endpoint.Path)+" download")
	if errors.Is(err, errNoCommand) {
		l.answer, l.until = nil, time.Now().Add(lfsKept)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	answer := &lfsAnswer{}
	if json.Unmarshal(out, answer) != nil {
		return nil, errors.New("git-lfs-authenticate: the host does not answer in JSON") // which may hold credentials
	}
	l.answer, l.until = answer, answer.until(time.Now())
	return answer, nil
}

// forget has the host asked again.
func (l *lfsSSH) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = time.Time{}
}

// until is up to when an answer is gone by: some seconds less than it is valid, for clocks and ways.
func (a *lfsAnswer) until(now time.Time) time.Time {
	const spare = 10 * time.Second
	end := now.Add(lfsKept)
	switch {
	case a.ExpiresIn > 0 && a.ExpiresIn < int64(lfsKept/time.Second):
		end = now.Add(time.Duration(a.ExpiresIn)*time.Second - spare)
	case a.ExpiresIn <= 0 && !a.ExpiresAt.IsZero() && a.ExpiresAt.Before(end):
		end = a.ExpiresAt.Add(-spare)
	}
	return end
}

// plainPath is one that means itself to every shell, and to hosts that have none.
var plainPath = regexp.MustCompile(`^[\w./~@%+:,-]+$`)

func quoted(path string) string {
	if plainPath.MatchString(path) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// askSSH runs commands at the remote's host. A person's clone has it asked by the agent's keys: when that can't be, the
// server may still be open to strangers, as one that is found over https.
func (s *Source) askSSH(access Access, remote string) func(context.Context, string) ([]byte, error) {
	return func(ctx context.Context, command string) ([]byte, error) {
		endpoint, err := transport.NewEndpoint(remote)
		if err != nil {
			return nil, err
		}
		out, err := access.run(ctx, endpoint, s.store.common, command)
		switch {
		case err == nil || errors.Is(err, errNoCommand):
			return out, err
		case s.mirror == nil && ctx.Err() == nil:
			return nil, fmt.Errorf("%w: %w", errNoCommand, err)
		case s.mirror != nil:
			err = s.mirror.explain("asking for the Git LFS server of", err)
		}
		return nil, err
	}
}
