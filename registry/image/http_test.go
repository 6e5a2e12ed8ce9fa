package image

import (
	"net/http"
	"strings"
	"testing"
)

// TestCredentialsStayWithinTheirOrigin: sent on to another host, or to the same in clear, a request brings no credentials,
// and nowhere does it tell the address it came from.
func TestCredentialsStayWithinTheirOrigin(t *testing.T) {
	for to, kept := range map[string]bool{
		"https://models.example.com/other": true, "http://models.example.com/w": false, "https://cdn.models.example.com/w": false, "https://models.example.com:8443/w": false,
	} {
		var last *http.Request
		client := &http.Client{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
			answer := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}
			if last == nil {
				answer.StatusCode = http.StatusFound
				answer.Header.Set("Location", to)
			}
			last = r
			return answer, nil
		})}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://models.example.com/w?sig=pl4nted-query", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer pl4nted-bearer")
		req.Header.Set("X-Token", "pl4nted-bearer")
		resp, err := withinOrigin(client).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := last.Header.Get("Authorization") + last.Header.Get("X-Token"); (got != "") != kept {
			t.Errorf("to %s: %q went along", to, got)
		}
		if ref := last.Header.Get("Referer"); strings.Contains(ref, "pl4nted") {
			t.Errorf("to %s: told of %s", to, ref)
		}
	}
}

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
