package image

import (
	"context"
	"sync"
)

// flights lets concurrent callers of one key share one run. Unlike x/sync/singleflight it ends the run when
// the last caller has gone, and not when the first has.
type flights struct {
	mu sync.Mutex
	m  map[string]*flight
}

type flight struct {
	done    chan struct{}
	cancel  context.CancelFunc
	callers int
	result  Result
	err     error
}

func (fs *flights) do(ctx context.Context, key string, run func(context.Context) (Result, error)) (Result, error) {
	f := fs.join(ctx, key, run)
	select {
	case <-f.done:
	case <-ctx.Done():
		if fs.leave(key, f) {
			<-f.done // the run is over before its last caller is
		}
		return Result{}, ctx.Err()
	}
	return f.result, f.err
}

func (fs *flights) join(ctx context.Context, key string, run func(context.Context) (Result, error)) *flight {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.m[key]; f != nil {
		f.callers++
		return f
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight{done: make(chan struct{}), cancel: cancel, callers: 1}
	if fs.m == nil {
		fs.m = map[string]*flight{}
	}
	fs.m[key] = f
	go func() {
		f.result, f.err = run(ctx)
		cancel()
		fs.mu.Lock()
		fs.remove(key, f)
		fs.mu.Unlock()
		close(f.done)
	}()
	return f
}

// leave tells whether the caller was the last one.
func (fs *flights) leave(key string, f *flight) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.callers--
	if f.callers > 0 {
		return false
	}
	fs.remove(key, f)
	f.cancel()
	return true
}

func (fs *flights) remove(key string, f *flight) {
	if fs.m[key] == f {
		delete(fs.m, key)
	}
}
