package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// nobody has no rights.
func nobody(context.Context, *User, string, string, string, string) (bool, error) { return false, nil }

// TestProxyTellsWhoComes: a name counts when the proxy says it, once, and none of Kubernetes' own names and groups does.
func TestProxyTellsWhoComes(t *testing.T) {
	a, err := NewProxyAccess(ProxyConfig{
		From: []netip.Prefix{netip.MustParsePrefix("10.0.3.0/24")}, User: "X-User", Groups: "X-Groups", Email: "X-Email", Rights: nobody,
	})
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		from   string
		header http.Header
		name   string
		groups []string
	}{
		"the proxy":              {"10.0.3.7:4711", http.Header{"X-User": {"ada"}, "X-Groups": {"ml, ops", "dev"}}, "ada", []string{"ml", "ops", "dev"}},
		"the proxy by IPv6":      {"[::ffff:10.0.3.7]:4711", http.Header{"X-User": {"ada"}}, "ada", nil},
		"somebody else":          {"10.0.4.7:4711", http.Header{"X-User": {"ada"}}, "", nil},
		"nobody":                 {"10.0.3.7:4711", http.Header{}, "", nil},
		"an empty name":          {"10.0.3.7:4711", http.Header{"X-User": {""}}, "", nil},
		"two names":              {"10.0.3.7:4711", http.Header{"X-User": {"ada", "root"}}, "", nil},
		"a name of Kubernetes":   {"10.0.3.7:4711", http.Header{"X-User": {"system:admin"}}, "", nil},
		"groups of Kubernetes":   {"10.0.3.7:4711", http.Header{"X-User": {"ada"}, "X-Groups": {"system:masters, ml"}}, "ada", []string{"ml"}},
		"no address to speak of": {"@", http.Header{"X-User": {"ada"}}, "", nil},
	}
	for what, c := range cases {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Header = c.from, c.header
		u, err := a.User(r)
		switch {
		case err != nil:
			t.Errorf("%s: %v", what, err)
		case u == nil && c.name != "" || u != nil && u.Name != c.name:
			t.Errorf("%s is %+v, want %q", what, u, c.name)
		case u != nil && !slices.Equal(u.Groups, c.groups):
			t.Errorf("%s is in %q, want %q", what, u.Groups, c.groups)
		}
	}
	for _, c := range []ProxyConfig{{User: "X-User", Rights: nobody}, {From: []netip.Prefix{{}}, Rights: nobody}, {From: []netip.Prefix{{}}, User: "X-User"}} {
		if _, err := NewProxyAccess(c); err == nil {
			t.Errorf("%+v is enough", c)
		}
	}
}

// TestSeals: what was sealed is opened under its own name alone, unchanged alone, by the same key alone.
func TestSeals(t *testing.T) {
	s, err := newSeals(nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := s.seal("session", session{Name: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	var got session
	if !s.open("session", text, &got) || got.Name != "ada" {
		t.Errorf("opened as %+v", got)
	}
	other, err := newSeals(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	changed := []byte(text)
	changed[len(changed)/2] ^= 1
	if s.open("login", text, &got) || s.open("session", string(changed), &got) || other.open("session", text, &got) || s.open("session", "", &got) {
		t.Error("opened what was not sealed so")
	}
	if _, err := s.seal("session", session{Groups: []string{strings.Repeat("x", mostSealed)}}); err == nil {
		t.Error("sealed more than a browser keeps")
	}
	if _, err := newSeals(make([]byte, 16)); err == nil {
		t.Error("a short key is taken")
	}
}

// TestReturnsHere: after the login nothing leads to another site.
func TestReturnsHere(t *testing.T) {
	for next, want := range map[string]string{
		"/models?q=x": "/models?q=x", "//evil.example.com": "/", "https://evil.example.com/": "/", "/\\evil.example.com": "/", "": "/", "models": "/", "javascript:alert(1)": "/",
	} {
		if got := localPath(next); got != want {
			t.Errorf("%q leads to %q, want %q", next, got, want)
		}
	}
}

// TestLoopbackHost: a page without users answers to names of this machine alone, whatever a foreign name resolves to.
func TestLoopbackHost(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:8090": true, "127.0.0.1:8090": true, "[::1]:8090": true, "evil.example.com": false, "evil.example.com:8090": false,
		"127.0.0.1.evil.example.com": false, "10.0.0.1": false, "": false, "localhost.evil.example.com:80": false,
	} {
		if loopbackHost(host) != want {
			t.Errorf("%q is this machine: %v", host, !want)
		}
	}
}
