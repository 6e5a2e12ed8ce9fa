package forge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// State is what a commit status says.
type State string

// The states that all forges have; GitLab shows Errored as Failure.
const (
	Pending State = "pending"
	Success State = "success"
	Failure State = "failure" // the commit's own fault
	Errored State = "error"   // something else went wrong
)

// Status is one line beside a commit.
type Status struct {
	Context     string // says whose it is, such as davit/production; the newest of a context counts
	State       State
	Description string // cut at 140 characters, GitHub's limit
	URL         string // where there is more; may be ""
}

type sentKey struct{ commit, context string }

// Status sets a status of a commit, unless the forge has it so already: it keeps all of them, and GitHub at most 1,000
// for a commit and context. What was sent is remembered; what was not is asked for once. GitLab keeps a pending
// status's first description.
func (f *Forge) Status(ctx context.Context, commit string, s Status) error {
	if !hash.MatchString(commit) || s.Context == "" {
		return fmt.Errorf("a status needs a commit and a context, not %q and %q", commit, s.Context)
	}
	if text := []rune(s.Description); len(text) > maxDescription {
		s.Description = string(text[:maxDescription-1]) + "…"
	}
	done, err := f.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	key := sentKey{commit, s.Context}
	had, ok := f.sent[key]
	if !ok {
		if had, err = f.newest(ctx, key); err != nil {
			return fmt.Errorf("reading the statuses of %.12s: %w", commit, err)
		}
	}
	if had != f.shown(s) {
		if err := f.send(ctx, f.dialect.status(commit, s), nil); err != nil && !f.unchanged(err) {
			return fmt.Errorf("setting status %s of %.12s: %w", s.Context, commit, err)
		}
	}
	if len(f.sent) >= maxSent {
		clear(f.sent) // it only saves asking
	}
	f.sent[key] = f.shown(s)
	return nil
}

const (
	maxDescription = 140
	maxSent        = 10000 // some 3 MB
)

// newest is the last status of a context; zero without one. The forge is asked for the newest of each context, because
// a plain list (go-scm's) holds up to a thousand of each, and Gitea sorts those of one second at random.
func (f *Forge) newest(ctx context.Context, key sentKey) (Status, error) {
	var combined struct {
		Statuses []native `json:"statuses"`
	}
	answer := any(&combined)
	if f.kind == GitLab {
		answer = &combined.Statuses
	}
	if err := f.send(ctx, f.dialect.statuses(key.commit), answer); err != nil {
		return Status{}, err
	}
	for _, n := range combined.Statuses {
		if cmp.Or(n.Context, n.Name) == key.context {
			return n.status(), nil
		}
	}
	return Status{}, nil
}

// native is a status as GitHub, Gitea (status for state) and GitLab (name for context too) give it.
type native struct {
	Context     string `json:"context"`
	Name        string `json:"name"`
	State       string `json:"state"`
	Status      string `json:"status"`
	Description string `json:"description"`
	URL         string `json:"target_url"`
}

func (n native) status() Status {
	state := State(cmp.Or(n.State, n.Status))
	if state == "failed" {
		state = Failure
	}
	return Status{Context: cmp.Or(n.Context, n.Name), State: state, Description: n.Description, URL: n.URL}
}

// shown is s as the forge will give it back.
func (f *Forge) shown(s Status) Status {
	if f.kind == GitLab && s.State == Errored {
		s.State = Failure
	}
	return s
}

// unchanged is GitLab's refusal of the state that a commit is in: "Cannot transition status via :enqueue from :pending".
func (f *Forge) unchanged(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && f.kind == GitLab && e.Status == http.StatusBadRequest && strings.Contains(e.text, "Cannot transition status")
}
