package web

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzQuery: a parameter is a number that is not less than 0, or a time; the query that a link has leads to the same page.
func FuzzQuery(f *testing.F) {
	f.Add("from=10&q=a+b&since=12h&until=2026-03-31")
	f.Add("from=-1&since=36501d&until=2026-03-31T23:59:00Z")
	f.Add("from=9223372036854775808&a=1;b=2&%zz&since=9999999h")
	f.Add("q=\"><script>&q=2&since=-1ns")
	f.Fuzz(func(t *testing.T, raw string) {
		values, _ := url.ParseQuery(raw) // what can't be read is left out
		q := &request{query: values}
		now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
		n, err := q.number("from")
		if n < 0 || err != nil && n != 0 {
			t.Errorf("from %d, %v", n, err)
		}
		for _, name := range []string{"since", "until"} {
			at, err := q.time(name, now, name == "until")
			if _, ok := ago(values.Get(name)); ok && at.After(now) {
				t.Errorf("%s is %s, %v", values.Get(name), at, err)
			}
		}
		shown := map[string]string{}
		for name := range values {
			shown[name] = values.Get(name)
		}
		link, err := url.ParseQuery(strings.TrimPrefix(from(shown, n), "?"))
		if err != nil {
			t.Fatalf("%q: %v", from(shown, n), err)
		}
		for name, text := range shown {
			if name != "from" && name != "" && link.Get(name) != text {
				t.Errorf("%s is %q, and %q in the link", name, text, link.Get(name))
			}
		}
		if link.Get("from") != "" && link.Get("from") != strconv.Itoa(n) {
			t.Errorf("from %q, not %d", link.Get("from"), n)
		}
	})
}

// FuzzPlaces: what leads on after the login leads to this page, what is linked is a page, and a host is loopback only when
// it says so as an address or as localhost.
func FuzzPlaces(f *testing.F) {
	for _, text := range []string{"/models?x=1#y", "//elsewhere.example.com", "/\\elsewhere.example.com", "/\t/elsewhere.example.com", "javascript:alert(1)", "https://example.com/x", "HTTP://a", "localhost:80", "[::1]:8090", "127.0.0.1.example.com", "::ffff:127.0.0.1", "[[::1]]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		home := &url.URL{Scheme: "https", Host: "page.example.com", Path: "/"}
		next := localPath(text)
		// Browsers pass over tabs and newlines, and take a backslash for a slash.
		seen := strings.NewReplacer("\t", "", "\n", "", "\r", "", "\\", "/").Replace(next)
		if at, err := home.Parse(seen); err != nil || at.Host != home.Host || at.Scheme != home.Scheme || strings.HasPrefix(seen, "//") {
			t.Errorf("%q leads to %v, %v", text, at, err)
		}
		for _, linked := range []string{link(text), findURL(text).URL} {
			if lower := strings.ToLower(linked); linked != "" && !strings.HasPrefix(lower, "http://") && !strings.HasPrefix(lower, "https://") {
				t.Errorf("%q is linked as %q", text, linked)
			}
		}
		if found := findURL(text); found.Text+found.URL != text {
			t.Errorf("%q is %+v", text, found)
		}
		if loopbackHost(text) {
			host := text
			if name, _, err := net.SplitHostPort(text); err == nil {
				host = name
			}
			addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
			if host != "localhost" && (err != nil || !addr.Unmap().IsLoopback()) {
				t.Errorf("%q is taken for loopback", text)
			}
		}
	})
}

// FuzzSeal: what a browser keeps is opened only under the name that it was sealed for, and only as it was.
func FuzzSeal(f *testing.F) {
	s, err := newSeals([]byte(strings.Repeat("k", 32)))
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := s.seal(sessionCookie, session{Name: "ada", Groups: []string{"ml"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed, "ada")
	f.Add(sealed[:len(sealed)-1], "")
	f.Add("", strings.Repeat("g", 5000))
	f.Fuzz(func(t *testing.T, text, name string) {
		var got session
		if s.open(loginCookie, text, &got) || s.open(sessionCookie, text, &got) && (got.Name != "ada" || len(got.Groups) != 1) {
			t.Fatalf("%q opens as %+v", text, got)
		}
		if !utf8.ValidString(name) {
			return
		}
		again, err := s.seal(sessionCookie, session{Name: name})
		if err != nil {
			if len(name) < mostSealed/10 {
				t.Errorf("%d bytes: %v", len(name), err)
			}
			return
		}
		var other session
		if len(again) > mostSealed || !s.open(sessionCookie, again, &other) || other.Name != name {
			t.Errorf("%q is sealed as %q", name, other.Name)
		}
	})
}

// FuzzProxy: a user is whom the proxy's address names, once, and nobody is Kubernetes' own.
func FuzzProxy(f *testing.F) {
	a, err := NewProxyAccess(ProxyConfig{From: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}, User: "X-User", Groups: "X-Groups", Email: "X-Email", Rights: func(context.Context, *User, string, string, string, string) (bool, error) { return false, nil }})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("10.1.2.3:80", "ada", "", "ml, system:masters,,x", "a@b")
	f.Add("[::ffff:10.1.2.3]:80", "system:admin", "ada", " system:masters", "")
	f.Add("11.0.0.1:1", "ada", "", "", "")
	f.Add("[fd00::1%eth0]:1", " ", "", ",", "")
	f.Fuzz(func(t *testing.T, remote, name, second, groups, email string) {
		r := &http.Request{RemoteAddr: remote, Header: http.Header{"X-User": {name}, "X-Groups": {groups, second}, "X-Email": {email}}}
		if second != "" {
			r.Header.Add("X-User", second)
		}
		u, err := a.User(r)
		if err != nil {
			t.Fatal(err)
		}
		if u == nil {
			return
		}
		addr, err := netip.ParseAddrPort(remote)
		if err == nil && !a.trusts(addr.Addr()) || second != "" || u.Name != name || name == "" {
			t.Errorf("%q from %s is %+v", name, remote, u)
		}
		for _, who := range append([]string{u.Name}, u.Groups...) {
			if strings.HasPrefix(who, "system:") || who == "" {
				t.Errorf("%q with groups %q is %+v", name, groups, u)
			}
		}
	})
}

// FuzzClaims: whatever a token claims, nobody is Kubernetes' own, and no address counts that the provider has not verified.
func FuzzClaims(f *testing.F) {
	f.Add([]byte(`{"sub":"ada","groups":["ml","ml","system:masters",1],"email":"a@b","email_verified":false}`), "sub", "")
	f.Add([]byte(`{"email":"a@b","email_verified":false,"groups":"x"}`), "email", "system")
	f.Add([]byte(`{"sub":":masters","groups":[":masters"]}`), "sub", "system")
	f.Fuzz(func(t *testing.T, text []byte, claim, prefix string) {
		var claims map[string]any
		if json.Unmarshal(text, &claims) != nil {
			return
		}
		a := &OIDCAccess{cfg: OIDCConfig{UsernameClaim: claim, UsernamePrefix: prefix, GroupsClaim: "groups", GroupsPrefix: prefix}}
		s, err := a.session(claims)
		if err != nil {
			return
		}
		for _, who := range append([]string{s.Name}, s.Groups...) {
			if strings.HasPrefix(who, "system:") || who == "" {
				t.Errorf("%s is %+v", text, s)
			}
		}
		if claims["email_verified"] == false && (s.Email != "" || claim == "email") {
			t.Errorf("%s has the address %q", text, s.Email)
		}
		if !slices.IsSorted(s.Groups) || len(slices.Compact(slices.Clone(s.Groups))) != len(s.Groups) {
			t.Errorf("groups %q", s.Groups)
		}
	})
}

// FuzzForm: a form and JSON say the same, in bounded texts.
func FuzzForm(f *testing.F) {
	f.Add("reason", "it is wrong", "version", "v2", "application/json")
	f.Add("a", strings.Repeat("x", mostReason+1), "a", "\xff", "application/x-www-form-urlencoded; charset=utf-8")
	f.Add("", "", ";", "&", "text/plain")
	f.Fuzz(func(t *testing.T, name, value, second, other, kind string) {
		read := func(kind, body string) (*request, error) {
			r := httptest.NewRequest(http.MethodPost, "/?reason=of+the+query", strings.NewReader(body))
			r.Header.Set("Content-Type", kind)
			q := &request{Request: r}
			return q, q.readForm(httptest.NewRecorder(), act{})
		}
		values := map[string]string{name: value, second: other}
		body, err := json.Marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		form := url.Values{}
		for k, v := range values {
			form.Set(k, v)
		}
		asJSON, errJSON := read("application/json", string(body))
		asForm, errForm := read("application/x-www-form-urlencoded", form.Encode())
		if errJSON == nil && errForm == nil && utf8.ValidString(name) && utf8.ValidString(second) {
			for k := range values {
				if a, b := asJSON.Form.Get(k), asForm.Form.Get(k); a != b || a != values[k] || len(a) > mostReason {
					t.Errorf("%q is %q and %q", k, a, b)
				}
			}
		}
		if _, of := values["reason"]; errForm == nil && !of && asForm.Form.Get("reason") != "" {
			t.Errorf("the query says %q", asForm.Form.Get("reason"))
		}
		q, err := read(kind, value)
		if err == nil {
			for k, v := range q.Form {
				if len(v) == 0 || len(v[0]) > mostReason || !utf8.ValidString(v[0]) {
					t.Errorf("%q is %q", k, v)
				}
			}
		}
	})
}
