package cluster_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/davit-dev/davit/reconciler/cluster"
)

// cutLease has requests about Leases fail once it is cut.
type cutLease struct {
	next http.RoundTripper
	cut  *atomic.Bool
}

func (l cutLease) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.cut.Load() && strings.Contains(r.URL.Path, "/leases") {
		return nil, errors.New("cut")
	}
	return l.next.RoundTrip(r)
}

// TestNothingIsWrittenAfterTheLease: what goes on as if it led is refused before another may lead; so is what With made, and
// reading is not.
func TestNothingIsWrittenAfterTheLease(t *testing.T) {
	t.Parallel()
	cut := &atomic.Bool{}
	config := restCopy()
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return cutLease{next, cut} })
	own, ns := open(t, func(c *cluster.Config) { c.REST, c.Holder = config, "first" })
	other, err := own.With(t.Context(), nil, func(c *cluster.Config) { c.Owner = "other" })
	if err != nil {
		t.Fatal(err)
	}
	claim := func(release string) error {
		_, err := other.Claim(context.WithoutCancel(t.Context()), cluster.Target{Namespace: ns, Environment: "production", Release: release, Commit: strings.Repeat("1", 40), Version: "v1"})
		return err
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err = own.Lead(ctx, ns, "davit", func(context.Context) error { // it does not see that its context ended
		if err := claim("before"); errors.Is(err, cluster.ErrNotLeading) {
			return nil // the Lease took too long to be written: it leads again
		} else if err != nil {
			cancel()
			return err
		}
		defer cancel()
		cut.Store(true)
		for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
			if _, err := other.Release(t.Context(), ns, "production", "before"); err != nil {
				return err
			}
			sent := time.Since(began)
			err := claim("after")
			if errors.Is(err, cluster.ErrNotLeading) {
				return nil
			}
			if sent > 5*time.Second { // of the 6 after which another may lead
				return errors.Join(errors.New("it is written without a Lease"), err)
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
	if err := claim("afterwards"); !errors.Is(err, cluster.ErrNotLeading) {
		t.Errorf("afterwards: %v", err)
	}
}
