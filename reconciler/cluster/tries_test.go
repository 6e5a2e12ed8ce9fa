package cluster_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/davit-dev/davit/reconciler/cluster"
)

// between does something before each request that reads a namespace.
type between struct {
	http.RoundTripper
	do func()
}

func (b between) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet {
		b.do()
	}
	return b.RoundTripper.RoundTrip(r)
}

// TestTryGoneMeanwhile: a try whose namespace goes while it is looked at can be made anew, which is said.
func TestTryGoneMeanwhile(t *testing.T) {
	t.Parallel()
	c, _ := open(t)
	try := cluster.Try{Namespace: "try-gone-meanwhile", Release: "production/iris", Commit: "HEAD", By: "ada", Until: time.Now().Add(time.Hour)}
	if err := c.OpenTry(t.Context(), try); err != nil {
		t.Fatal(err)
	}
	cfg := rest.CopyConfig(restConfig)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return between{next, func() {
			namespaces := client.CoreV1().Namespaces()
			_ = namespaces.Delete(t.Context(), try.Namespace, metav1.DeleteOptions{})
			eventually(t, func() error {
				if _, err := namespaces.Get(t.Context(), try.Namespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
					return errors.New("the namespace is still there")
				}
				return nil
			})
		}}
	})
	hasty, err := cluster.New(t.Context(), cluster.Config{REST: cfg, Owner: owner})
	if err != nil {
		t.Fatal(err)
	}
	if err := hasty.OpenTry(t.Context(), try); !errors.Is(err, cluster.ErrTryEnding) {
		t.Errorf("got %v", err)
	}
	if err := c.OpenTry(t.Context(), try); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := c.DeleteTry(t.Context(), try.Namespace, "ada"); err != nil {
		t.Error(err)
	}
}
