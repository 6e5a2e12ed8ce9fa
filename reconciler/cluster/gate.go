package cluster

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// calm is how long an API server must not have answered 429 before one more writer is let in again. It
// proposes a Retry-After of one second itself.
const calm = time.Second

// gate lets a number of writers in at once. Each 429 of the API server halves the number, at most once per
// calm; each calm without one raises it by one, until it is back where it was (additive increase,
// multiplicative decrease). The request that got the 429 is sent again by client-go, after Retry-After.
type gate struct {
	most int
	now  func() time.Time

	mu      sync.Mutex
	limit   int
	inside  int
	waiting []chan struct{}
	halved  time.Time   // when limit was last
	since   time.Time   // of the last 429, or the last raise
	timer   *time.Timer // raises limit; nil when it is at most
}

func newGate(most int) *gate { return &gate{most: most, limit: most, now: time.Now} }

func (g *gate) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	g.mu.Lock()
	if g.inside < g.limit {
		g.inside++
		g.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	g.waiting = append(g.waiting, turn)
	g.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiting, turn); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	} else { // its turn had come meanwhile
		g.inside--
		g.admit()
	}
	return ctx.Err()
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.admit()
}

// admit lets in who has waited longest. It needs g.mu.
func (g *gate) admit() {
	for len(g.waiting) > 0 && g.inside < g.limit {
		close(g.waiting[0])
		g.waiting = g.waiting[1:]
		g.inside++
	}
}

func (g *gate) refused() {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if now.Sub(g.halved) >= calm {
		g.limit, g.halved = max(1, g.limit/2), now
	}
	g.since = now
	if g.timer == nil && g.limit < g.most {
		g.timer = time.AfterFunc(calm, g.recover)
	}
}

func (g *gate) recover() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if left := calm - g.now().Sub(g.since); left > 0 { // another 429 came
		g.timer = time.AfterFunc(left, g.recover)
		return
	}
	g.limit++
	g.since = g.now()
	g.admit()
	if g.timer = nil; g.limit < g.most {
		g.timer = time.AfterFunc(calm, g.recover)
	}
}

// open is how many writers may be inside now.
func (g *gate) open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.limit
}

// watch lets the gate see each answer of the API server; what a model behind a Service answers is no concern of
// its.
func (g *gate) watch(next http.RoundTripper) http.RoundTripper { return &watched{next, g} }

type watched struct {
	next http.RoundTripper
	gate *gate
}

func (w *watched) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := w.next.RoundTrip(r)
	if err == nil && answer.StatusCode == http.StatusTooManyRequests && !strings.Contains(r.URL.Path, "/proxy/") {
		w.gate.refused()
	}
	return answer, err
}

// WrappedRoundTripper lets client-go find the transport below, to cancel requests and close connections.
func (w *watched) WrappedRoundTripper() http.RoundTripper { return w.next }
