package gitops

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// A safety net for file systems that lose notifications.
	localCheck = 30 * time.Second
	// Without notifications at all (inotify's limits are per user, and NFS has none).
	localPoll  = 2 * time.Second
	maxBackoff = 5 * time.Minute
	// Between two fetches that Notify asks for: a forge sends a delivery for each push and each merge.
	notifyGap = 500 * time.Millisecond
)

// Watch calls fn with the tip and again with each new one, until ctx ends; it returns ctx's error. fn is
// never called concurrently; tips that came and went while it ran are skipped. A branch or tag that is
// missing for now is waited for.
func (s *Source) Watch(ctx context.Context, fn func(Hash)) error {
	if s.branch == "" && !s.Tagged() {
		return errDetached
	}
	t := &teller{fn: fn}
	if s.mirror != nil {
		return s.watchRemote(ctx, t)
	}
	return s.watchLocal(ctx, t)
}

// teller calls fn once for each change of the tip.
type teller struct {
	fn   func(Hash)
	told Hash
}

func (t *teller) tell(h Hash) {
	if h != t.told {
		t.told = h
		t.fn(h)
	}
}

func (s *Source) watchLocal(ctx context.Context, t *teller) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		s.log.Warn("file notifications are not available, polling", "interval", localPoll, "err", err)
		return s.pollLocal(ctx, t)
	}
	defer w.Close()
	tick := time.NewTicker(localCheck)
	defer tick.Stop()
	for {
		// First the watches and then the ref: a change in between raises an event that is still unread.
		if err := s.addWatches(w); err != nil {
			s.log.Warn("file notifications are not available, polling", "interval", localPoll, "err", err)
			return s.pollLocal(ctx, t)
		}
		s.check(ctx, t)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.Events:
			drain(w)
		case err := <-w.Errors:
			// An overflow lost events; the ref is read now all the same.
			s.log.Debug("file notification trouble", "err", err)
		case <-tick.C:
		}
	}
}

// drain takes the events of one git command together, so that they cost one look at the ref.
func drain(w *fsnotify.Watcher) {
	for {
		select {
		case <-w.Events:
		default:
			return
		}
	}
}

// addWatches watches the Git folder (packed-refs, and refs itself) and every folder on the way to the
// loose ref. `git pack-refs` and deleting a branch remove the deeper ones, a commit brings them back; each
// is seen in its parent. Adding one that is watched already changes nothing.
func (s *Source) addWatches(w *fsnotify.Watcher) error {
	dir := s.store.common
	if err := w.Add(dir); err != nil {
		return fmt.Errorf("watching %s: %w", dir, err)
	}
	for part := range strings.SplitSeq(filepath.Dir(s.watched()), "/") {
		dir = filepath.Join(dir, part)
		if err := w.Add(dir); errors.Is(err, os.ErrNotExist) {
			return nil
		} else if err != nil {
			return fmt.Errorf("watching %s: %w", dir, err)
		}
	}
	return nil
}

func (s *Source) pollLocal(ctx context.Context, t *teller) error {
	tick := time.NewTicker(localPoll)
	defer tick.Stop()
	for {
		s.check(ctx, t)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// check tells of a ref that can't be read and waits for it: a deleted branch may return.
func (s *Source) check(ctx context.Context, t *teller) {
	began := time.Now()
	h, err := s.Tip(ctx)
	if s.mirror == nil && ctx.Err() == nil {
		s.looked(time.Since(began), err)
		s.reached(err)
	}
	if err == nil {
		t.tell(h)
	}
}

func (s *Source) watchRemote(ctx context.Context, t *teller) error {
	s.check(ctx, t)
	wait := s.mirror.interval
	for {
		if err := s.mirror.pause(ctx, wait); err != nil {
			return err
		}
		h, err := s.Fetch(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			s.reached(err)
			wait = min(2*wait, max(maxBackoff, s.mirror.interval))
			s.log.Warn("checking the remote failed, retrying", "url", s.mirror.shown, "retryIn", wait, "err", err)
			continue
		}
		wait = s.mirror.interval
		s.reached(nil)
		t.tell(h)
	}
}

// Notify makes Watch check the remote now instead of after its interval, also while it backs off from an outage. It
// returns at once; what is asked for meanwhile is one check, at most two a second. A local repository needs none. With
// several Watch calls on one Source, one of them is woken.
func (s *Source) Notify() {
	if s.mirror == nil {
		return
	}
	select {
	case s.mirror.wake <- struct{}{}:
	default: // asked for already
	}
}

// Pushed is Notify once somebody pushed a full ref, where that can move what is followed or what proposals are made on: the
// branch, and any tag where tags are followed. "" may be any ref.
func (s *Source) Pushed(ref string) {
	if ref == "" || ref == "refs/heads/"+s.branch || s.Tagged() && strings.HasPrefix(ref, tagRefs) {
		s.Notify()
	}
}

// pause waits for d or for Notify, and then until notifyGap has passed since the last fetch.
func (m *mirror) pause(ctx context.Context, d time.Duration) error {
	gap := time.After(notifyGap)
	timer := time.NewTimer(jitter(d))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	case <-m.wake:
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-gap:
	}
	select {
	case <-m.wake: // the coming fetch serves it too
	default:
	}
	return nil
}

// jitter spreads d by a tenth, so that many controllers do not ask a server at the same instant.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.2*float64(d))
}
