package chaos_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/reconciler/chaos"
)

// TestProxy sees each fault as a client does, over http and over TLS, and that all is well before and after.
func TestProxy(t *testing.T) {
	const answer = "0123456789"
	served := make(chan string, 100)
	server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		served <- string(body)
		_, _ = io.WriteString(w, answer)
	})
	for _, c := range []struct {
		name         string
		fault        chaos.Fault
		want         string // answered
		served, fail bool
	}{
		{name: "none", want: answer, served: true},
		{name: "answer", fault: chaos.Answer(http.StatusTooManyRequests, "later", "Retry-After", "7"), want: "429 7 later"},
		{name: "slow", fault: chaos.Slow(20 * time.Millisecond), want: answer, served: true},
		{name: "silent", fault: chaos.Silent(), fail: true},
		{name: "unheard", fault: chaos.Unheard(), served: true, fail: true},
		{name: "answer cut", fault: chaos.CutAnswer(4), want: "0123", served: true, fail: true},
		{name: "request cut", fault: chaos.CutRequest(2), fail: true},
		{name: "changed", fault: chaos.Change(bytes.ToUpper).Of(func(r *http.Request) bool { return r.Method == http.MethodPost }), want: answer, served: true},
		{name: "others", fault: chaos.Silent().Of(func(r *http.Request) bool { return r.Method == http.MethodGet }), want: answer, served: true},
		{name: "no more", fault: chaos.Silent().Times(0), want: answer, served: true},
	} {
		for scheme, secure := range map[string]bool{"http": false, "https": true} {
			t.Run(c.name+" "+scheme, func(t *testing.T) {
				p := chaos.Serve(server, secure)
				defer p.Close()
				client := p.Client()
				p.Begin(c.fault)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.name == "silent" {
					go func() { // who asks gives up once the proxy has the request
						for deadline := time.Now().Add(time.Minute); p.Hits() == 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
						}
						cancel()
					}()
				}
				got, err := post(ctx, client, p.URL)
				if got != c.want || (err != nil) != c.fail {
					t.Errorf("answered %q, %v", got, err)
				}
				if seen := len(served) > 0; seen != c.served {
					t.Errorf("the server saw the request: %v", seen)
				}
				for len(served) > 0 {
					<-served
				}
				if hit := p.Hits() == 1; hit != (c.fault != nil && c.name != "others" && c.name != "no more") {
					t.Errorf("%d hits", p.Hits())
				}
				p.Begin(nil)
				if got, err := post(t.Context(), client, p.URL); got != answer || err != nil {
					t.Errorf("afterwards %q, %v", got, err)
				}
				<-served
			})
		}
	}
}

func post(ctx context.Context, client *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("asked"))
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	text := string(body)
	if response.StatusCode != http.StatusOK {
		text = strings.Join([]string{response.Status[:3], response.Header.Get("Retry-After"), text}, " ")
	}
	return text, err
}

// TestProxyDown resets the connections that there are and those that come.
func TestProxyDown(t *testing.T) {
	reading := make(chan struct{})
	p := chaos.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		close(reading)
		<-r.Context().Done()
	}), false)
	defer p.Close()
	ended := make(chan error)
	go func() {
		_, err := post(t.Context(), p.Client(), p.URL)
		ended <- err
	}()
	<-reading
	p.Down()
	if err := <-ended; err == nil {
		t.Error("a stream went on")
	}
	if _, err := post(t.Context(), p.Client(), p.URL); err == nil || p.Hits() == 0 {
		t.Errorf("%v after %d hits", err, p.Hits())
	}
}
