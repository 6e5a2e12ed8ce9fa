package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write golden files")

// sink is a receiver that keeps what it is sent, and answers as it is told.
type sink struct {
	mu     sync.Mutex
	bodies []string
	heads  []http.Header
	answer func(n int, w http.ResponseWriter) // of the nth request, from 1; 200 when nil
}

func (s *sink) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	s.mu.Lock()
	s.bodies, s.heads = append(s.bodies, string(body)), append(s.heads, req.Header)
	n, answer := len(s.bodies), s.answer
	s.mu.Unlock()
	if answer != nil {
		answer(n, w)
	}
}

func (s *sink) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.bodies...)
}

func serve(t *testing.T, s *sink) (secret Secret) {
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return func(context.Context) (map[string]string, error) {
		return map[string]string{"url": server.URL + "/services/T0/B0/pl4nted-channel\n", "token": "pl4nted-bearer", "hmacKey": "pl4nted-hmac"}, nil
	}
}

func run(t *testing.T, receivers ...Receiver) (*Notifier, func()) {
	n := New(receivers, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan bool)
	go func() { n.Run(ctx); close(done) }()
	stop := sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return n, stop
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not %s", what)
		}
	}
}

func failed(version string) Message {
	return Message{
		Registry: "davit/models", Environment: "production", Release: "iris", State: RolledBack, Model: "iris", Version: version, From: "v1", Serves: "v1",
		Commit: strings.Repeat("a", 40), Revision: "main@sha1:aaaaaaaaaaaa", Author: "Ada <ada@example.com>", Reason: "CrashLoop",
		Text: "container server ended <3> times & <!channel>", URL: "https://git.example.com/o/r/commit/aaa", At: time.Unix(1700000000, 0),
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs (run with -update):\n%s", name, got)
	}
}

func indented(t *testing.T, body string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out) + "\n"
}

// TestSlack: what is said is short, in one post where several wait, and calls nobody.
func TestSlack(t *testing.T) {
	s := &sink{}
	send, batch := Slack(serve(t, s))
	n := New([]Receiver{{Name: "ops", Send: send, Batch: batch}}, slog.New(slog.DiscardHandler))
	held := failed("v3")
	held.State, held.From = Held, ""
	n.Add(failed("v2"))
	n.Add(held)
	healthy := failed("v4")
	healthy.State = Healthy
	n.Add(healthy) // nobody asked for it
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n.Run(ctx) // what is left is sent at the end
	got := s.got()
	if len(got) != 1 {
		t.Fatalf("%d posts", len(got))
	}
	golden(t, "slack.json", indented(t, got[0]))
}

// TestCloudEvents: the envelope is that of the specification, the signature that of the body, the id that of the outcome.
func TestCloudEvents(t *testing.T) {
	s := &sink{}
	n, _ := run(t, Receiver{Name: "bus", Send: CloudEvents(serve(t, s)), Environments: []string{"production"}})
	n.Add(failed("v2"))
	elsewhere := failed("v2")
	elsewhere.Environment = "staging"
	n.Add(elsewhere)
	n.Add(failed("v2"))
	eventually(t, "sent twice", func() bool { return len(s.got()) == 2 })
	body := s.got()[0]
	golden(t, "cloudevent.json", indented(t, body))
	if again := s.got()[1]; again != body {
		t.Errorf("the same outcome is another event:\n%s", again)
	}
	mac := hmac.New(sha256.New, []byte("pl4nted-hmac"))
	mac.Write([]byte(body))
	head := s.heads[0]
	if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); head.Get(Signature) != want {
		t.Errorf("signed %s, want %s", head.Get(Signature), want)
	}
	if head.Get("Authorization") != "Bearer pl4nted-bearer" || !strings.HasPrefix(head.Get("Content-Type"), "application/cloudevents+json") {
		t.Errorf("headers %v", head)
	}
}

// TestReceiversAreApart: one that hangs, and one that refuses, delay no other one and nobody who adds; what fails for a
// while arrives in order; and what is told of a refusal has no address.
func TestReceiversAreApart(t *testing.T) {
	release := make(chan bool)
	hanging := &sink{answer: func(int, http.ResponseWriter) { <-release }}
	gone := &sink{answer: func(_ int, w http.ResponseWriter) { http.Error(w, "no_service", http.StatusNotFound) }}
	flaky := &sink{answer: func(n int, w http.ResponseWriter) {
		if n == 1 {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "{}", http.StatusTooManyRequests)
		}
	}}
	defer close(release)
	n, _ := run(t,
		Receiver{Name: "hanging", Send: CloudEvents(serve(t, hanging))},
		Receiver{Name: "gone", Send: CloudEvents(serve(t, gone))},
		Receiver{Name: "flaky", Send: CloudEvents(serve(t, flaky))},
	)
	began := time.Now()
	for range maxWaiting {
		n.Add(failed("v1"))
	}
	n.Add(failed("v2"))
	n.Add(failed("v3"))
	if took := time.Since(began); took > 8*time.Second { // one message to the one that hangs takes 10
		t.Errorf("adding took %s", took)
	}
	eventually(t, "sent though others fail", func() bool { return len(flaky.got()) > 3 })
	if got := flaky.got(); got[0] != got[1] {
		t.Error("what was answered 429 was not sent again first")
	}
	eventually(t, "told", func() bool { return strings.Contains(n.Trouble(), "gone: ") })
	trouble := n.Trouble()
	if !strings.Contains(trouble, "404 Not Found (no_service); check the Secret's url; messages lost: ") {
		t.Errorf("told %q", trouble)
	}
	for _, secret := range []string{"pl4nted-channel", "pl4nted-bearer", "pl4nted-hmac", "127.0.0.1"} {
		if strings.Contains(trouble, secret) {
			t.Errorf("told %q with %s in it", trouble, secret)
		}
	}
}

// TestUnreachable: the error of a connection that fails does not quote the address either, and a redirect is not followed.
func TestUnreachable(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	err := post(t.Context(), closed.URL+"/services/pl4nted-channel", http.Header{}, nil)
	if err == nil || strings.Contains(err.Error(), "pl4nted") {
		t.Errorf("told %v", err)
	}
	if again, _ := retry(err); !again {
		t.Error("an outage is not tried again")
	}
	other := &sink{}
	target := httptest.NewServer(other)
	defer target.Close()
	redirects := httptest.NewServer(http.RedirectHandler(target.URL, http.StatusTemporaryRedirect))
	defer redirects.Close()
	err = post(t.Context(), redirects.URL, http.Header{"Authorization": {"Bearer pl4nted-bearer"}}, nil)
	if again, _ := retry(err); err == nil || again || len(other.got()) > 0 {
		t.Errorf("redirected: %v, %d requests", err, len(other.got()))
	}
	for _, address := range []string{"", "file:///etc/passwd", "pl4nted-channel", "http://[pl4nted-channel"} {
		if err := post(t.Context(), address, http.Header{}, nil); err == nil || strings.Contains(err.Error(), "pl4nted") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// TestCount: what is sent again is counted each time, and what is left when the end comes is dropped and not forgotten.
func TestCount(t *testing.T) {
	var mu sync.Mutex
	counts := map[string]int{}
	count := func(result string, n int) {
		mu.Lock()
		defer mu.Unlock()
		counts[result] += n
	}
	counted := func(result string) int {
		mu.Lock()
		defer mu.Unlock()
		return counts[result]
	}
	release := make(chan bool)
	s := &sink{answer: func(n int, w http.ResponseWriter) {
		switch n {
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
		case 2: // taken
		case 3:
			w.WriteHeader(http.StatusGone)
		default:
			<-release
		}
	}}
	send, _ := Slack(serve(t, s))
	n, stop := run(t, Receiver{Name: "ops", Send: send, Batch: 1, Count: count})
	defer close(release)
	for range 5 {
		n.Add(failed("v2"))
	}
	eventually(t, "asked four times", func() bool { return len(s.got()) == 4 })
	if counted(Sent) != 1 || counted(Again) != 1 || counted(Dropped) != 1 {
		t.Errorf("counted %v", counts)
	}
	stop()
	if counted(Sent) != 1 || counted(Dropped) != 4 || !strings.Contains(n.Trouble(), "messages lost: 4") {
		t.Errorf("counted %v at the end; told %q", counts, n.Trouble())
	}
}

// TestRecall: who did not take what it was sent by a process before is told of until it takes something.
func TestRecall(t *testing.T) {
	s := &sink{}
	send, _ := Slack(serve(t, s))
	n := New([]Receiver{{Name: "ops", Send: send}, {Name: "bus", Send: send}}, slog.New(slog.DiscardHandler))
	n.Recall("others: the receiver answered 404 Not Found; check the Secret's url; bus: the receiver answered 410 Gone")
	if got := n.Trouble(); got != "bus: what it was sent last was not taken" {
		t.Errorf("told %q", got)
	}
	n.Add(failed("v2"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n.Run(ctx)
	if got := n.Trouble(); got != "" {
		t.Errorf("told %q though it was taken", got)
	}
}

func TestRetryAfter(t *testing.T) {
	soon := time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)
	for header, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "99999999999999999999": 0, "soon": 0, soon: time.Minute, "Fri, 01 Jan 2021 00:00:00 GMT": 0,
	} {
		if got := after(header); got > want || got < want-30*time.Second && want == time.Minute || got != want && want != time.Minute {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}

// TestLosesTheOldest: who is too slow for all gets what is new.
func TestLosesTheOldest(t *testing.T) {
	s := &sink{}
	send, _ := Slack(serve(t, s))
	n := New([]Receiver{{Name: "ops", Send: send, Batch: maxWaiting}}, slog.New(slog.DiscardHandler))
	for range maxWaiting {
		n.Add(failed("old"))
	}
	n.Add(failed("new"))
	if why := n.Trouble(); why != "ops: too slow; messages lost: 1" {
		t.Errorf("told %q", why)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n.Run(ctx)
	if got := s.got(); len(got) != 1 || !strings.Contains(got[0], "new was rolled back") || strings.Count(got[0], `"title":`) != maxWaiting {
		t.Errorf("%d posts", len(got))
	}
}
