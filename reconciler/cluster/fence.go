package cluster

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// ErrNotLeading is a write that was not sent, since the Lease may be another's by now.
var ErrNotLeading = errors.New("the Lease was not renewed in time and may be another's: nothing is written any more")

// fence lets nothing be written when the Lease is over. What works is told by its context too, but a process that did not run
// for a while, or waited long for an answer, goes on where it was before anything tells it: what it would write is older than
// what the next leader wrote. It is shared by a Cluster and those that come of it.
type fence struct {
	leads atomic.Bool               // by a Lease; without one nothing is refused
	until atomic.Pointer[time.Time] // nil when there is none
}

// closed says whether nothing may be written. The clock is monotonic and goes on while the process does not.
func (f *fence) closed() bool {
	if !f.leads.Load() {
		return false
	}
	until := f.until.Load()
	return until == nil || !time.Now().Before(*until)
}

// guard refuses writes. The Lease itself has to be written to be had, and to ask who may do what (a review is a POST) changes
// nothing: replicas that stand by do.
func (f *fence) guard(next http.RoundTripper) http.RoundTripper { return &fenced{next, f} }

type fenced struct {
	next  http.RoundTripper
	fence *fence
}

type leaseWrite struct{}

func (g *fenced) RoundTrip(r *http.Request) (*http.Response, error) {
	if g.fence.closed() && r.Method != http.MethodGet && r.Context().Value(leaseWrite{}) == nil && !reviews(r.URL.Path) {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, ErrNotLeading
	}
	return g.next.RoundTrip(r)
}

func reviews(path string) bool {
	return strings.Contains(path, "/apis/authorization.k8s.io/") || strings.Contains(path, "/apis/authentication.k8s.io/")
}

// WrappedRoundTripper is watched's.
func (g *fenced) WrappedRoundTripper() http.RoundTripper { return g.next }

// timedLock has the fence know until when the Lease is had: by when its renewal was sent, and not by when that was answered.
type timedLock struct {
	resourcelock.Interface
	fence *fence
}

func (l *timedLock) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.write(ctx, r, l.Interface.Create)
}

func (l *timedLock) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.write(ctx, r, l.Interface.Update)
}

func (l *timedLock) write(ctx context.Context, r resourcelock.LeaderElectionRecord, write func(context.Context, resourcelock.LeaderElectionRecord) error) error {
	until := time.Now().Add(renewDeadline)
	if err := write(context.WithValue(ctx, leaseWrite{}, true), r); err != nil {
		return err
	}
	if r.HolderIdentity != l.Identity() { // it is given up
		l.fence.until.Store(nil)
		return nil
	}
	l.fence.until.Store(&until)
	return nil
}
