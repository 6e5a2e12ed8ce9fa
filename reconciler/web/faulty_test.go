package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// faultyPage has one of each fault that a browser is to hear.
func faultyPage(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; img-src 'self'")
			_, _ = io.WriteString(w, `<!doctype html><html lang="en"><title>t</title><body><main id="whole"><h1>t</h1><p id="live" class="on">`+
				`<img src="/gone.png"><table width="900"><tr><td>wide</table><script>inline()</script><script src="/faulty.js"></script></main>`)
		case "/faulty.js":
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = io.WriteString(w, `console.error("broken"); alert("taken"); throw new Error("thrown")`)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL + "/"
}
