package gitops

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// Where outcomes are: the same notes commit on a ref that `git log --notes=davit` reads, and on a branch, which plain
// clones fetch and hosts can protect.
const (
	NotesRef      = "refs/notes/davit"
	OutcomeBranch = ownPrefix + "outcome"
	// ownPrefix begins the names of the branches that davit writes.
	ownPrefix = "davit/"
)

// Event is what came of a revision: one JSON line of the note on its commit, with the keys in this order, what a person
// reads first in front. It holds no log lines unless the environment allows them: they may hold prompts and keys.
type Event struct {
	// At is when it happened, to the second, in UTC.
	At time.Time `json:"at"`
	// Release is "environment/name".
	Release string `json:"release"`
	// Outcome is Healthy, Failed, RolledBack, Superseded, Pinned (a person turned away from this revision), Removed, or
	// Waiting: a policy keeps the revision back, and what comes of it is still to come.
	Outcome string `json:"outcome"`
	// Version is the noted commit's, From the version that served before.
	Version string `json:"version,omitempty"`
	From    string `json:"from,omitempty"`
	// Serves is the version, and Commit the full hash, of what serves after RolledBack and Pinned.
	Serves string `json:"serves,omitempty"`
	// Reason is one CamelCase word, Message a sentence.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// ExitCode is of the container that ended; nil when none did.
	ExitCode *int `json:"exitCode,omitempty"`
	// By is the person who asked, for Pinned, or whose key let an urgent change through a freeze.
	By     string `json:"by,omitempty"`
	Commit string `json:"commit,omitempty"`
	// Image is the version's model image by digest.
	Image string `json:"image,omitempty"`
	// Applied is when the revision's objects were applied, Seen when davit saw the commit.
	Applied time.Time `json:"applied,omitzero"`
	Seen    time.Time `json:"seen,omitzero"`
	// Controller wrote it.
	Controller string `json:"controller,omitempty"`
	// Log is the end of what it wrote, where the environment allows it.
	Log string `json:"log,omitempty"`
}

// line is the event as it stands in a note.
func (e Event) line() (string, error) {
	for _, t := range []*time.Time{&e.At, &e.Applied, &e.Seen} {
		*t = t.UTC().Truncate(time.Second)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false) // people read it
	err := enc.Encode(e)
	return strings.TrimSpace(out.String()), err
}

// Noted is an event and the commit that bears it.
type Noted struct {
	Commit Hash
	Event
}

// Events reads the outcomes of all commits, or of those that want names when it is not nil, from the notes ref and from
// every branch davit/outcome that is here, a remote's too; what several of them hold comes once. They are in order of
// time. Lines that are not events are passed over: people may add notes of their own.
func (s *Source) Events(ctx context.Context, want map[Hash]bool) ([]Noted, error) {
	tips, err := s.outcomeTips()
	if err != nil {
		return nil, fmt.Errorf("reading outcomes: %w", err)
	}
	lines := map[string]bool{}
	var out []Noted
	err = s.eachLine(ctx, tips, want, func(commit Hash, line []byte) {
		var e Event
		known := commit.String() + string(line)
		if !lines[known] && json.Unmarshal(line, &e) == nil && e.Release != "" {
			lines[known] = true
			out = append(out, Noted{commit, e})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("reading outcomes: %w", err)
	}
	slices.SortStableFunc(out, func(a, b Noted) int { return a.At.Compare(b.At) })
	return out, nil
}

// EachEvent tells of the outcomes that Events lists, in no order and without keeping them: ten thousand of one commit
// are 10 MB. What several refs hold may come again.
func (s *Source) EachEvent(ctx context.Context, want map[Hash]bool, tell func(Noted)) error {
	tips, err := s.outcomeTips()
	if err == nil {
		err = s.eachLine(ctx, tips, want, func(commit Hash, line []byte) {
			var e Event
			if json.Unmarshal(line, &e) == nil && e.Release != "" {
				tell(Noted{commit, e})
			}
		})
	}
	if err != nil {
		return fmt.Errorf("reading outcomes: %w", err)
	}
	return nil
}

// eachLine reads the lines, trimmed and none empty, of the notes of all commits, or of those that want names. A note that
// several tips have alike is read once. A line is only good until fn returns.
func (s *Source) eachLine(ctx context.Context, tips []Hash, want map[Hash]bool, fn func(commit Hash, line []byte)) error {
	begins := map[string]bool{} // the folders that wanted commits are in
	for commit := range want {
		begins[commit.String()[:2]] = true
	}
	blobs := map[[2]Hash]bool{}
	for _, tip := range tips {
		_, tree, err := s.commit(ctx, tip)
		if err != nil {
			return err
		}
		err = s.notes(ctx, tree, "", func(first string) bool { return want == nil || begins[first] }, func(commit, blob Hash) error {
			if blobs[[2]Hash{commit, blob}] || want != nil && !want[commit] {
				return nil
			}
			blobs[[2]Hash{commit, blob}] = true
			data, err := s.store.read(plumbing.BlobObject, blob)
			if err != nil {
				return err
			}
			for line := range bytes.Lines(data) {
				if line = bytes.TrimSpace(line); len(line) > 0 {
					fn(commit, line)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// HasEvents says whether outcomes are here at all. A clone made without the branch davit/outcome has none.
func (s *Source) HasEvents() (bool, error) {
	tips, err := s.outcomeTips()
	if err != nil {
		return false, fmt.Errorf("reading outcomes: %w", err)
	}
	return len(tips) > 0, nil
}

// EventsAt is a word for the outcomes that are here: while it is the same, Events gives the same. It costs a look at the refs.
func (s *Source) EventsAt() (string, error) {
	tips, err := s.outcomeTips()
	if err != nil {
		return "", fmt.Errorf("reading outcomes: %w", err)
	}
	return fmt.Sprint(tips), nil
}

// outcomeTips are the commits of all refs that hold outcomes, each once.
func (s *Source) outcomeTips() ([]Hash, error) {
	refs, err := s.store.refs(outcomes)
	tips := slices.SortedFunc(maps.Values(refs), func(a, b Hash) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(tips), err
}

func outcomes(ref string) bool {
	return ref == NotesRef || ref == "refs/heads/"+OutcomeBranch ||
		strings.HasPrefix(ref, "refs/notes/") && strings.HasSuffix(ref, "/davit") || // where davit init has a clone fetch them to
		strings.HasPrefix(ref, "refs/remotes/") && strings.HasSuffix(ref, "/"+OutcomeBranch)
}

// notes walks a notes tree, whose paths are commits in hex, cut into folders where there are many (git-notes(1)). Of the
// outermost folders only those are opened that enter says.
func (s *Source) notes(ctx context.Context, tree Hash, prefix string, enter func(first string) bool, fn func(commit, blob Hash) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := s.trees.get(tree)
	if err != nil {
		return err
	}
	for rest := f.raw; len(rest) > 0; {
		var e entry
		if e, rest, err = next(rest); err != nil {
			return err
		}
		name := prefix + string(e.name)
		switch {
		case e.isDir() && len(e.name) == 2 && len(name) < 40:
			if prefix != "" || enter(name) {
				err = s.notes(ctx, e.hash, name, enter, fn)
			}
		case !e.isDir() && len(name) == 40:
			if _, bad := hex.DecodeString(name); bad == nil {
				err = fn(plumbing.NewHash(name), e.hash)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
