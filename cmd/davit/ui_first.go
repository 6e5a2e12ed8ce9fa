package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/davit-dev/davit/reconciler"
)

// firstLook has a page that is there by default cost nothing before somebody looks: watches, and what they keep, begin with the
// first visitor, who waits for them.
type firstLook struct {
	once  sync.Once
	asked chan struct{}
	until time.Time // the first visitor waits no longer; set before asked is closed
}

// firstWait is how long a visitor waits for what is there to be known; a cluster that is not reached holds up no page.
const firstWait = 10 * time.Second

func newFirstLook() *firstLook { return &firstLook{asked: make(chan struct{})} }

// follow begins with the first visitor. It is pageServer's following of one registry.
func (l *firstLook) follow(ctx context.Context, s *pageServer, name string, r *reconciler.Reconciler) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() {
		select {
		case <-ctx.Done():
		case <-l.asked:
			end := s.fleet.Follow(ctx, name, r)
			<-ctx.Done()
			end()
		}
	})
	return func() {
		cancel()
		following.Wait()
	}
}

// before has a visitor wait until the registries that are followed are known.
func (l *firstLook) before(s *pageServer, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.once.Do(func() {
			l.until = time.Now().Add(firstWait)
			close(l.asked)
		})
		for !s.known() && time.Now().Before(l.until) && r.Context().Err() == nil {
			time.Sleep(20 * time.Millisecond)
		}
		next.ServeHTTP(w, r)
	})
}

// known says that all there was in what is followed is known.
func (s *pageServer) known() bool {
	s.mu.Lock()
	n := len(s.loops)
	s.mu.Unlock()
	return len(s.fleet.Registries()) >= n && s.fleet.Ready()
}
