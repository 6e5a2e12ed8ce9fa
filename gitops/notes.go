package gitops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

const (
	// maxQueue bounds the outcomes that wait for a repository that takes none; the oldest go first. One is some 300
	// bytes, and what falls out of the queue is still on its ModelRelease.
	maxQueue = 20_000
	// The first outcome waits company for others. While more come, writes are minGap apart, and a second more for each
	// bytesPerSecond of the last one, up to maxGap: a note is written whole again each time, and 10,000 outcomes of one
	// commit are 3 MB.
	company        = time.Second
	minGap         = 3 * time.Second
	maxGap         = 30 * time.Second
	bytesPerSecond = 50_000
	// A repository that can't be written is tried again soon, and later each time: up to maxBackoff, or to afterNo where it
	// refuses to be. A refusal may pass too: servers refuse while they are moved or have a credential's cache to fill.
	minRetry   = 2 * time.Second
	afterNo    = time.Hour
	lastChance = 15 * time.Second
)

// Notes writes outcomes to Git: a note on each commit, one JSON line per event, on NotesRef and on OutcomeBranch alike.
// Outcomes are queued and written together. Other writers, people with `git notes` among them, lose nothing and davit
// loses nothing to them: a lost race is fetched and written anew on top. All methods are safe for concurrent use.
type Notes struct {
	source  *Source
	author  Author
	log     *slog.Logger
	wake    chan struct{}
	writing sync.Mutex // one write at a time; it guards barred
	barred  map[plumbing.ReferenceName]time.Time

	mu      sync.Mutex
	queue   []note
	flying  int  // taken from the queue and not written yet
	refused bool // the last try was: the next one may be an hour away
	dropped int
	trouble string
	partial string
}

// note is a line to be on a commit.
type note struct {
	commit Hash
	line   string
	then   func()
}

// over tells who waits for notes that nothing more becomes of them.
func over(notes []note) {
	for i := range notes {
		if then := notes[i].then; then != nil {
			notes[i].then = nil
			then()
		}
	}
}

// NewNotes gives a writer of outcomes. Nothing is written before Run or Flush. A nil log is the source's.
func (s *Source) NewNotes(author Author, log *slog.Logger) *Notes {
	if log == nil {
		log = s.log
	}
	return &Notes{source: s, author: author, log: log, wake: make(chan struct{}, 1), barred: map[plumbing.ReferenceName]time.Time{}}
}

// Add queues an outcome of a commit. It never blocks on the repository. One that is there already is not written twice,
// so who is not sure adds again.
func (n *Notes) Add(commit Hash, e Event) { n.AddThen(commit, e, nil) }

// AddThen is Add, and calls then once, when the outcome is in the repository or no try brings it there: the repository refuses to be
// written, or too many wait.
func (n *Notes) AddThen(commit Hash, e Event, then func()) {
	line, err := e.line()
	if err != nil || commit.IsZero() {
		n.log.Error("an outcome can't be written", "commit", commit.String(), "release", e.Release, "err", err)
		over([]note{{then: then}})
		return
	}
	n.mu.Lock()
	n.queue = append(n.queue, note{commit, line, then})
	dropped := n.bound()
	if n.refused && then != nil {
		n.queue[len(n.queue)-1].then = nil
		dropped = append(dropped, note{then: then})
	}
	n.mu.Unlock()
	over(dropped)
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// bound drops the oldest of a queue that is too long.
func (n *Notes) bound() (dropped []note) {
	over := len(n.queue) - maxQueue
	if over <= 0 {
		return nil
	}
	if n.dropped == 0 {
		n.log.Warn("too many outcomes wait to be written to Git, the oldest are dropped", "kept", maxQueue)
	}
	n.dropped += over
	dropped = n.queue[:over]
	n.queue = append([]note(nil), n.queue[over:]...)
	return dropped
}

// Pending counts the outcomes that are not in the repository yet.
func (n *Notes) Pending() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.queue) + n.flying
}

// Trouble says why outcomes do not reach Git, or reach one of the two refs alone; "" when all is well.
func (n *Notes) Trouble() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.trouble != "" && n.dropped > 0:
		return fmt.Sprintf("degraded: %d outcomes wait and %d were dropped: %s", len(n.queue), n.dropped, n.trouble)
	case n.trouble != "":
		return fmt.Sprintf("degraded: %d outcomes wait: %s", len(n.queue), n.trouble)
	case n.partial != "":
		return "degraded: " + n.partial
	}
	return ""
}

// Run writes what is queued until ctx ends, and then once more, within 15 s. Trouble is logged when it changes.
func (n *Notes) Run(ctx context.Context) {
	retry := minRetry
	var due time.Time
	for n.wait(ctx, due) {
		size, err := n.flush(ctx)
		if err == nil {
			due, retry = time.Now().Add(gap(size)), minRetry
			continue
		}
		due = time.Now().Add(jitter(retry))
		limit := maxBackoff
		if errors.Is(err, ErrReadOnly) {
			limit = afterNo
		}
		retry = min(2*retry, limit)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastChance)
	defer cancel()
	_, _ = n.flush(last) // what could not be written was logged
}

// gap is the time to the next write after one of size bytes.
func gap(size int) time.Duration {
	return min(minGap+time.Duration(size)*time.Second/bytesPerSecond, maxGap)
}

// wait returns when there is something to write and the time has come; false when ctx ends before.
func (n *Notes) wait(ctx context.Context, due time.Time) bool {
	for n.Pending() == 0 {
		select {
		case <-ctx.Done():
			return false
		case <-n.wake:
		}
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(max(company, time.Until(due))):
		return true
	}
}

// Flush writes what is queued now. On an error it stays queued.
func (n *Notes) Flush(ctx context.Context) error {
	_, err := n.flush(ctx)
	return err
}

// flush also gives the bytes it wrote.
func (n *Notes) flush(ctx context.Context) (size int, err error) {
	n.writing.Lock()
	defer n.writing.Unlock()
	n.mu.Lock()
	batch := n.queue
	n.queue, n.flying = nil, len(batch)
	n.mu.Unlock()
	if len(batch) == 0 {
		return 0, nil
	}
	size, err = n.write(ctx, batch)
	refused := errors.Is(err, ErrReadOnly)
	if err == nil || refused {
		over(batch)
	}
	var dropped []note
	defer func() { over(dropped) }() // once it is unlocked
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refused = refused
	n.flying = 0
	if err != nil {
		n.queue = append(batch, n.queue...)
		dropped = n.bound()
		if n.trouble != err.Error() && ctx.Err() == nil {
			n.trouble = err.Error()
			n.log.Warn("outcomes not written to Git, they wait", "waiting", len(n.queue), "err", err)
		}
		return 0, err
	}
	if n.trouble != "" {
		n.log.Info("outcomes are written to Git again", "written", len(batch), "dropped", n.dropped)
	}
	n.trouble, n.dropped = "", 0
	return size, nil
}
