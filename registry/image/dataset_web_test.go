package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// webServer answers as the function says that answer was given last.
func webServer(t *testing.T) (address string, answer func(http.HandlerFunc)) {
	var now atomic.Pointer[http.HandlerFunc]
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*now.Load())(w, r) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(s.Close)
	return s.URL, func(h http.HandlerFunc) { now.Store(&h) }
}

// TestDatasetWeb hashes what addresses answer with, and nothing that is not the data.
func TestDatasetWeb(t *testing.T) {
	at, answer := webServer(t)
	b := newBuilder(t, Config{})
	text := strings.Repeat("0123456789abcdef", 100_000)
	for _, content := range []string{"one", text} { // an ETag that stays the same says nothing
		answer(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			io.WriteString(w, content)
		})
		got := resolve(t, b, at+"/a%20b.csv?of=today", nil)
		if got.URI != at+"/a%20b.csv?of=today" || got.SHA256 != sha(content) || contentAt(t, b, got.URI, nil) != content {
			t.Errorf("%+v", got)
		}
	}
	for what, c := range map[string]struct {
		answer  http.HandlerFunc
		content bool
		want    string
	}{
		"gone":       {func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }, true, "404 Not Found; correct the address"},
		"forbidden":  {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) }, false, "403 Forbidden"},
		"empty":      {func(w http.ResponseWriter, r *http.Request) {}, true, "is empty"},
		"no content": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) }, true, "204 No Content"},
		"a loop":     {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/data", http.StatusFound) }, false, "stopped after 10 redirects"},
		"a page": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/data" {
				http.Redirect(w, r, "/login?next=/data", http.StatusFound)
				return
			}
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			io.WriteString(w, "<form>who are you?</form>")
		}, true, "answers with a web page, such as one to log in"},
		"encoded": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			io.WriteString(w, "brotli")
		}, true, `comes encoded ("br")`},
		"another scheme": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		}, false, "unsupported protocol scheme"},
	} {
		answer(c.answer)
		t.Log(what)
		unresolved(t, b, at+"/data?q=1", nil, c.content, c.want, at+"/data")
	}
	answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<p>a corpus</p>")
	})
	if got := resolve(t, b, at+"/corpus.html", nil); got.SHA256 != sha("<p>a corpus</p>") {
		t.Errorf("%+v", got)
	}
}

// TestDatasetWebCredentials go to the address they were granted for, and not where it leads.
func TestDatasetWebCredentials(t *testing.T) {
	at, answer := webServer(t)
	other, elsewhere := webServer(t)
	answer(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer pl4nted-source" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, other+"/storage?sig=pl4nted-query", http.StatusFound)
	})
	elsewhere(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("credentials went along")
		}
		io.WriteString(w, "data")
	})
	b := newBuilder(t, Config{})
	access := secretOf(at+"/", Secret{"token": "pl4nted-source"})
	if got := resolve(t, b, at+"/data", access); got.URI != at+"/data" || got.SHA256 != sha("data") {
		t.Errorf("%+v", got)
	}
	unresolved(t, b, at+"/data", nil, false, "401 Unauthorized")
	unresolved(t, b, "http://127.0.0.1:1/data", access, false, "is not below")
	elsewhere(func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	unresolved(t, b, at+"/data", access, false, "after 2 retries")
}

// TestDatasetWebBreaks: what is joined after a break belongs together.
func TestDatasetWebBreaks(t *testing.T) {
	at, answer := webServer(t)
	b := newBuilder(t, Config{})
	old, changed := strings.Repeat("old ", 100_000), strings.Repeat("new ", 100_000)
	var requests, ranges atomic.Int64
	// serve breaks the first answer off; content is what the nth request finds.
	serve := func(etag string, content func(n int64) string, breaks int64) {
		requests.Store(0)
		ranges.Store(0)
		answer(func(w http.ResponseWriter, r *http.Request) {
			n := requests.Add(1)
			if r.Header.Get("Range") != "" {
				ranges.Add(1)
			}
			text := content(n)
			if etag != "" {
				w.Header().Set("ETag", strings.ReplaceAll(etag, "%", text[:3]))
			}
			if n <= breaks {
				w.Header().Set("Content-Length", fmt.Sprint(len(text)))
				io.WriteString(w, text[:len(text)/2])
				panic(http.ErrAbortHandler)
			}
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
		})
	}
	moves := func(n int64) string {
		if n == 1 {
			return old
		}
		return changed
	}
	for what, c := range map[string]struct {
		etag    string
		content func(int64) string
		want    string
		ranges  int64
	}{
		"the same":             {`"%"`, func(int64) string { return old }, old, 1},
		"changed":              {`"%"`, moves, changed, 1},
		"changed, a weak ETag": {`W/"1"`, moves, changed, 0},
		"changed, no ETag":     {"", moves, changed, 0},
	} {
		serve(c.etag, c.content, 1)
		d := dataAt(at + "/data")
		got, err := b.ResolveDataset(t.Context(), d, nil)
		if err != nil || got.SHA256 != sha(c.want) || ranges.Load() != c.ranges {
			t.Errorf("%s: %+v, %v, with %d ranges", what, got, err, ranges.Load())
		}
	}
	serve("", func(int64) string { return old }, 100)
	unresolved(t, b, at+"/data", nil, false, "changed while it was read, 3 times")
}

// TestDatasetEnds: a server that sends for ever, or nothing, has an end; and so has the caller's patience.
func TestDatasetEnds(t *testing.T) {
	at, answer := webServer(t)
	b := newBuilder(t, Config{})
	answer(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			w.Write(make([]byte, 64<<10))
		}
	})
	oldLimit := datasetLimit
	t.Cleanup(func() { datasetLimit = oldLimit })
	datasetLimit = 100 * time.Millisecond
	unresolved(t, b, at+"/data?x=1", nil, false, at+"/data?… could not be resolved in 100ms; write its sha256")
	answer(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	unresolved(t, b, at+"/data", nil, false, "could not be resolved in 100ms")
	datasetLimit = oldLimit
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if d, err := b.ResolveDataset(ctx, dataAt(at+"/data"), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%+v, %v", d, err)
	}
}
