package image

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/davit-dev/davit/registry"
)

const (
	retries = 2 // of one file's connection, after the first try
	// stalled is how long a source may send nothing before its connection counts as broken.
	stalled = time.Minute
)

var (
	backoff    = 500 * time.Millisecond // doubled at each retry
	errStalled = fmt.Errorf("nothing received for %v", stalled)
)

// connect opens a file's content from an offset on; from is where what it gives begins, which may be before. An error is
// passing when another try may help.
type connect func(ctx context.Context, offset int64) (body io.ReadCloser, from int64, passing bool, err error)

// resumed reads a file and goes on where it was when the connection breaks. That what it joins belongs together is
// shown by the sha256 in the end.
type resumed struct {
	ctx     context.Context // of this reading: an io.Reader gets none
	cancel  context.CancelFunc
	file    registry.File
	connect connect

	mu      sync.Mutex // of what follows: Close may be called while Read is running, the transport does
	body    io.ReadCloser
	abort   context.CancelFunc // of the present connection
	offset  int64
	skip    int64 // bytes to come that were read before
	came    int64 // bytes since the last retry
	retried int
}

func openResumed(ctx context.Context, f registry.File, c connect) (io.ReadCloser, error) {
	return openResumedAt(ctx, f, c, 0)
}

func openResumedAt(ctx context.Context, f registry.File, c connect, offset int64) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	r := &resumed{ctx: ctx, cancel: cancel, file: f, connect: c, offset: offset}
	if err := r.connectAgain(nil); err != nil {
		cancel()
		return nil, err
	}
	return r, nil
}

// Close ends a Read that is running.
func (r *resumed) Close() error {
	r.cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
	return nil
}

func (r *resumed) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.body == nil {
		return 0, io.ErrClosedPipe
	}
	for {
		n, err := r.next(p)
		if err == nil || err == io.EOF || r.ctx.Err() != nil {
			if n == 0 && err == nil && len(p) > 0 {
				continue // all of it was skipped
			}
			return n, err
		}
		if err := r.connectAgain(err); err != nil || n > 0 {
			return n, err
		}
	}
}

// next reads from the present connection and drops what was read before. It needs r.mu.
func (r *resumed) next(p []byte) (int, error) {
	timer := time.AfterFunc(stalled, r.abort)
	n, err := r.body.Read(p)
	if !timer.Stop() && err != nil {
		err = errStalled
	}
	if r.came += int64(n); r.came >= progressStep {
		r.retried = 0 // it is a long file on a bad line, not one that can't be had
	}
	old := min(r.skip, int64(n))
	r.skip -= old
	n = copy(p, p[old:n])
	r.offset += int64(n)
	if err == io.EOF && r.skip > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// connectAgain connects, at the offset, until it succeeds, fails for good or was tried often enough.
func (r *resumed) connectAgain(err error) error {
	for {
		if err != nil {
			if r.retried == retries {
				return fmt.Errorf("reading %s, after %d retries: %w", redact(r.file.Source), retries, withoutURL(err))
			}
			if err := sleep(r.ctx, backoff<<r.retried); err != nil {
				return err
			}
			r.retried++
			r.came = 0
		}
		if r.body != nil {
			r.abort()
			r.body.Close()
			r.body = nil
		}
		ctx, abort := context.WithCancel(r.ctx)
		timer := time.AfterFunc(2*stalled, abort) // not every client has limits of its own
		body, from, passing, connectErr := r.connect(ctx, r.offset)
		if !timer.Stop() && connectErr != nil {
			connectErr, passing = errStalled, true
		}
		if connectErr == nil {
			r.body, r.abort, r.skip = body, abort, r.offset-from
			return nil
		}
		abort()
		if err = connectErr; !passing || r.ctx.Err() != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
