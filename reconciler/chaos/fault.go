package chaos

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// always is a fault of every request.
func always(f func(w http.ResponseWriter, r *http.Request, server http.Handler)) Fault {
	return func(_ *http.Request, server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f(w, r, server) })
	}
}

// Of leaves all but some requests alone.
func (f Fault) Of(some func(*http.Request) bool) Fault {
	return func(r *http.Request, server http.Handler) http.Handler {
		if !some(r) {
			return nil
		}
		return f(r, server)
	}
}

// Times leaves all but the first n requests alone.
func (f Fault) Times(n int64) Fault {
	var met atomic.Int64
	return func(r *http.Request, server http.Handler) http.Handler {
		if met.Load() >= n {
			return nil
		}
		instead := f(r, server)
		if instead == nil || met.Add(1) > n {
			return nil
		}
		return instead
	}
}

// Answer has requests answered without the server. The header's values are name, value, name, value.
func Answer(status int, body string, header ...string) Fault {
	return always(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for pair := range slices.Chunk(header, 2) {
			w.Header().Set(pair[0], pair[1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// Slow passes requests on after a while.
func Slow(d time.Duration) Fault {
	return always(func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		select {
		case <-time.After(d):
		case <-end(r):
		case <-r.Context().Done():
			return
		}
		server.ServeHTTP(w, r)
	})
}

// Silent never answers; when the fault has ended the connection does too.
func Silent() Fault {
	return always(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		select {
		case <-end(r):
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	})
}

// Unheard has the server do what it is asked, and the client see a connection that ends instead of the answer.
func Unheard() Fault {
	return always(func(_ http.ResponseWriter, r *http.Request, server http.Handler) {
		server.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	})
}

// CutAnswer ends the connection after that many bytes of an answer's body.
func CutAnswer(after int) Fault {
	return always(func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		server.ServeHTTP(&cutWriter{w, after}, r)
		panic(http.ErrAbortHandler) // a shorter answer ends too early as well
	})
}

type cutWriter struct {
	http.ResponseWriter
	left int
}

func (w *cutWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *cutWriter) Write(data []byte) (int, error) {
	if len(data) <= w.left {
		w.left -= len(data)
		return w.ResponseWriter.Write(data)
	}
	_, _ = w.ResponseWriter.Write(data[:w.left])
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

// CutRequest ends both connections after that many bytes of a request's body.
func CutRequest(after int64) Fault {
	return always(func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		body := struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(r.Body, after), broken{}), r.Body}
		r.Body = body
		server.ServeHTTP(w, r)
		panic(http.ErrAbortHandler)
	})
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("cut") }

// Change replaces the bodies of answers.
func Change(body func([]byte) []byte) Fault {
	return always(func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		r.Header.Del("Accept-Encoding")
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, r)
		changed := body(answer.Body.Bytes())
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		if r.Method != http.MethodHead {
			w.Header().Set("Content-Length", strconv.Itoa(len(changed)))
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(changed)
	})
}

// Before has something happen when the server has answered, and before the client hears it.
func Before(f func()) Fault {
	return always(func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, r)
		f()
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}
