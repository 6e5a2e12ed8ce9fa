package web_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/davit-dev/davit/reconciler/web"
)

// TestStandby: where another replica has what is asked for, all places say so; a page that is open stays as it is, and is live
// again when what answers has it.
func TestStandby(t *testing.T) {
	source := axe(t)
	w := look(t)
	var standby atomic.Bool
	const words = "This replica of davit stands by; davit-1 leads and has the page. Where that is a pod: kubectl -n davit-system port-forward davit-1 8090"
	page, err := web.New(web.Config{Fleet: w.data, Away: func(context.Context) string {
		if standby.Load() {
			return words
		}
		return ""
	}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(page)
	defer server.Close()
	defer server.CloseClientConnections()
	b := open(t)
	b.at(server.URL+"/"+name, "light", 1400, "table.fleet td.healthy")

	standby.Store(true)
	server.CloseClientConnections()
	b.do(chromedp.WaitReady("#live.off", chromedp.ByQuery), chromedp.WaitReady("table.fleet td.healthy", chromedp.ByQuery))
	for _, path := range []string{"/", "/" + name, "/" + name + "/gpus", "/api/v1/registries", "/api/v1/registries/" + name + "/changes", "/api/v1/registries/" + name + "/models"} {
		answer, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		text := make([]byte, 8<<10)
		n, _ := answer.Body.Read(text)
		answer.Body.Close()
		if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" || !strings.Contains(string(text[:n]), words) {
			t.Errorf("%s: %d %s", path, answer.StatusCode, text[:n])
		}
	}
	var closed bool
	b.do(chromedp.Poll("changes.readyState === EventSource.CLOSED", &closed, chromedp.WithPollingTimeout(time.Minute))) // it will not ask again by itself
	standby.Store(false)
	b.do(chromedp.WaitReady("#live.on", chromedp.ByQuery))
	_ = b.heard() // that the stream was refused

	standby.Store(true)
	b.do(chromedp.Navigate(server.URL+"/"+name), chromedp.WaitReady("main h1", chromedp.ByQuery))
	b.picture("standby-light-1400")
	for _, fault := range b.accessible(source) {
		t.Error(fault)
	}
	_ = b.heard() // that the page was refused
}
