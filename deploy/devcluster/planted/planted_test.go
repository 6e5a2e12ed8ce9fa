package planted

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	for text, want := range map[string]string{
		"":                 "",
		"a planted secret": "",
		"https://ada:pl4nted-git@git.example.com": "pl4nted-git",
		"{\"token\":\"pl4nted\"}":                 "pl4nted",
		"token planted-4711-token":                "planted-4711-token",
	} {
		if got := Find([]byte(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for _, word := range words {
		for before := range 7 {
			for _, after := range []string{"", "-", "-oci", ":\xff"} {
				text := strings.Repeat("é", before)[:before] + word + after
				for name, encoding := range map[string]*base64.Encoding{"std": base64.StdEncoding, "url": base64.RawURLEncoding} {
					if got := Find([]byte("x " + encoding.EncodeToString([]byte(text)))); got != word+" in base64" {
						t.Errorf("%s of %q: %q", name, text, got)
					}
				}
			}
		}
	}
}

// TestWriter cuts what is written at every place.
func TestWriter(t *testing.T) {
	const text = "the token is pl4nted-git, it says"
	for i := range len(text) {
		for j := i; j < len(text); j++ {
			var w Writer
			for _, part := range []string{text[:i], text[i:j], text[j:]} {
				w.Write([]byte(part))
			}
			if !strings.HasPrefix(w.Found, Word) {
				t.Errorf("cut at %d and %d: %q", i, j, w.Found)
			}
		}
	}
}

// TestSearch: what is in a file is found, and in Git what nothing leads to any more.
func TestSearch(t *testing.T) {
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	git("init", "-q")
	git("commit", "-q", "--allow-empty", "-m", "nothing")
	if err := Git(dir); err != nil {
		t.Error(err)
	}
	git("commit", "-q", "--allow-empty", "-m", "pl4nted-git")
	git("reset", "-q", "--hard", "HEAD~1")
	if err := Git(dir); err == nil || !strings.Contains(err.Error(), "holds pl4nted-git") {
		t.Errorf("in a message: %v", err)
	}
	if err := Git(t.TempDir()); err != nil {
		t.Errorf("no repository: %v", err)
	}
	dir = t.TempDir()
	if err := Files(dir); err != nil {
		t.Error(err)
	}
	name := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("x pl4nted-oci"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Files(dir); err == nil || err.Error() != name+" holds pl4nted-oci" {
		t.Errorf("in a file: %v", err)
	}
	if err := Files(filepath.Join(dir, "c")); err != nil {
		t.Errorf("no file: %v", err)
	}
}

// TestAnswers: what is answered is read, in pieces and in headers, and goes out as it is.
func TestAnswers(t *testing.T) {
	for path, want := range map[string]string{"/piece": "pl4nted", "/header": "pl4nted-oidc", "/none": ""} {
		var got string
		rec := httptest.NewRecorder()
		Answers(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/header" {
				w.Header().Set("Location", "/?secret=pl4nted-oidc")
			}
			io.WriteString(w, "it is pl4n")
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
			if r.URL.Path == "/piece" {
				io.WriteString(w, "ted")
			}
		}), func(_ *http.Request, word string) { got = word }).ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
		if got != want || !strings.HasPrefix(rec.Body.String(), "it is pl4n") {
			t.Errorf("%s: %q, %q", path, got, rec.Body)
		}
	}
}
