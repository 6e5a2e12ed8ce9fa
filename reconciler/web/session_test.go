package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/reconciler/fleet"
)

// TestSessionsThatAreNone: no place of the page takes a session that ended, that another key has sealed, that was sealed for
// something else or that is none; pages lead to the login, and what no person sees is refused.
func TestSessionsThatAreNone(t *testing.T) {
	provider := newProvider(t)
	access, err := NewOIDCAccess(OIDCConfig{Issuer: provider.URL, ClientID: "davit", URL: "https://davit.example.com", Rights: nobody})
	if err != nil {
		t.Fatal(err)
	}
	page, err := New(Config{Fleet: fleet.New(fleet.Config{}), Access: access})
	if err != nil {
		t.Fatal(err)
	}
	others, err := newSeals(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	seal := func(s *seals, name string, until time.Time) string {
		text, err := s.seal(name, session{Name: "ada", Groups: []string{"owners"}, Until: until})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	soon := time.Now().Add(time.Hour)
	good := seal(access.seals, sessionCookie, soon)
	for what, cookie := range map[string]string{
		"none": "", "good": good, "ended": seal(access.seals, sessionCookie, time.Now().Add(-time.Second)), "another key's": seal(others, sessionCookie, soon),
		"of a login": seal(access.seals, loginCookie, soon), "cut": good[:len(good)-1], "in clear": "eyJuIjoiYWRhIiwidSI6IjIwOTktMDEtMDFUMDA6MDA6MDBaIn0",
	} {
		for _, route := range page.routes() {
			method, path, _ := strings.Cut(route.pattern, " ")
			r := httptest.NewRequest(method, "https://davit.example.com"+strings.NewReplacer("{$}", "", "{file}", "page.css", "{", "", "}", "").Replace(path), nil)
			if cookie != "" {
				r.AddCookie(&http.Cookie{Name: sessionCookie, Value: cookie})
			}
			if strings.HasSuffix(path, "/changes") && what == "good" {
				continue // a stream, without an end
			}
			w := httptest.NewRecorder()
			page.ServeHTTP(w, r)
			lets := w.Code != http.StatusUnauthorized && !strings.HasPrefix(w.Header().Get("Location"), provider.URL+"/auth?")
			if want := what == "good" || strings.Contains(path, "/static/"); lets != want {
				t.Errorf("%s: %s: %d %s", what, route.pattern, w.Code, w.Header().Get("Location"))
			}
			if api := method == http.MethodPost || strings.HasPrefix(path, "/api/"); !lets && api != (w.Code == http.StatusUnauthorized) {
				t.Errorf("%s: %s: %d", what, route.pattern, w.Code)
			}
		}
	}
}
