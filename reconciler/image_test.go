package reconciler_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// endless adds a version v9 of iris whose weights take for ever to come; each try to read them is told.
func (w *world) endless() (asked chan struct{}) {
	w.t.Helper()
	asked = make(chan struct{}, 10)
	end := make(chan struct{})
	weights := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-end:
		case <-r.Context().Done():
		}
	}))
	w.t.Cleanup(weights.Close)
	w.t.Cleanup(func() { close(end) })
	text := strings.Replace(w.text("models/iris/versions/v2.yaml"), "source: models/iris/files/v2", "source: "+weights.URL, 1)
	_, rest, _ := strings.Cut(text, "sha256: ")
	sum := fmt.Sprintf("%064x", time.Now().UnixNano()) // no earlier test's image has it
	w.write("models/iris/versions/v9.yaml", strings.Replace(text, rest[:64], sum, 1))
	w.commit("v9")
	return asked
}

// takeBack promotes v9, and reverts that as soon as its weights are read.
func (w *world) takeBack(asked chan struct{}, begin func(), from, to string) {
	w.t.Helper()
	w.edit("releases/iris/production.yaml", "version: v1", "version: v9")
	w.commit("promote v9")
	begin()
	select {
	case <-asked:
	case <-time.After(time.Minute):
		w.t.Fatal("the weights were not asked for")
	}
	w.git("revert", "--no-edit", "HEAD")
	w.edit("releases/iris/serving.yaml", from, to)
	w.commit("and other replicas")
	w.until(production, "v1", v1alpha1.Healthy)
	if after := w.status("production"); after.Healthy.Commit != w.git("rev-parse", "HEAD") || after.Held != nil {
		w.t.Errorf("%+v", after)
	}
}

// TestABuildIsSuperseded: the revert of a version whose weights take for ever to come does not wait for them, nor does it
// after a restart.
func TestABuildIsSuperseded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asked := w.endless()
	stop := w.follow()
	w.until(production, "v1", v1alpha1.Healthy)
	before := w.status("production")
	w.takeBack(asked, func() {}, "replicas: 1", "replicas: 2")
	stop()
	w.takeBack(asked, func() { w.follow() }, "replicas: 2", "replicas: 1")
	if after := w.status("production"); len(after.Outcomes) != len(before.Outcomes)+2 {
		t.Errorf("outcomes: %+v", after.Outcomes)
	}
}

// TestABuildHoldsUpNoCommit: nor does it when another environment's cluster is reached meanwhile.
func TestABuildHoldsUpNoCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asked := w.endless()
	address, open := w.closed()
	r := w.granted(address, reconciler.Grant{
		Namespaces: []string{w.namespace("production")}, Sources: []v1alpha1.SourceGrant{{Prefix: "http://"}},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	w.until(production, "v1", v1alpha1.Healthy)
	w.takeBack(asked, func() {
		<-asked
		asked <- struct{}{}
		open()
		w.until(staging, "v1", v1alpha1.Healthy)
	}, "replicas: 1", "replicas: 2")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// closed is the address of the API server, from where nothing comes back before open is called.
func (w *world) closed() (address string, open func()) {
	w.t.Helper()
	target, err := url.Parse(restConfig(w.t).Host)
	if err != nil {
		w.t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	if proxy.Transport, err = rest.TransportFor(restConfig(w.t)); err != nil {
		w.t.Fatal(err)
	}
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	opened := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		select {
		case <-opened:
			proxy.ServeHTTP(rw, r)
		case <-r.Context().Done():
		}
	}))
	w.t.Cleanup(server.CloseClientConnections)
	return server.URL, sync.OnceFunc(func() { close(opened) })
}
