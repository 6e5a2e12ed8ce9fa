package gitops

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// repo is a real repository driven by the real git.
type repo struct {
	t   testing.TB
	dir string
	// commits are a minute apart, from a fixed date
	clock time.Time
}

func newRepo(t testing.TB, args ...string) *repo {
	t.Helper()
	r := &repo{t: t, dir: t.TempDir(), clock: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}
	r.git(append([]string{"init", "-q", "-b", "main"}, args...)...)
	return r
}

func (r *repo) git(args ...string) string {
	r.t.Helper()
	out, err := r.try(args...)
	if err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimRight(out, "\n")
}

func (r *repo) try(args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	date := r.clock.Format(time.RFC3339)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_AUTHOR_DATE="+date,
		"GIT_COMMITTER_NAME=Grace", "GIT_COMMITTER_EMAIL=grace@example.com", "GIT_COMMITTER_DATE="+date)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (r *repo) write(name, content string) {
	r.t.Helper()
	p := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// commit writes files (name, content, ...) and commits everything.
func (r *repo) commit(subject string, files ...string) string {
	r.t.Helper()
	for i := 0; i+1 < len(files); i += 2 {
		r.write(files[i], files[i+1])
	}
	r.tick()
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", subject)
	return r.git("rev-parse", "HEAD")
}

func (r *repo) tick() { r.clock = r.clock.Add(time.Minute) }

func (r *repo) lines(args ...string) []string {
	r.t.Helper()
	lines := strings.FieldsFunc(r.git(args...), func(c rune) bool { return c == '\n' || c == 0 })
	slices.Sort(lines)
	return lines
}

func (r *repo) open(branch string) *Source {
	r.t.Helper()
	return open(r.t, Config{URL: r.dir, Branch: branch})
}

func open(t testing.TB, cfg Config) *Source {
	t.Helper()
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func snapshot(t testing.TB, s *Source, rev string) *Snapshot {
	t.Helper()
	h, err := s.Resolve(t.Context(), rev)
	if err != nil {
		t.Fatal(err)
	}
	snap, err := s.Snapshot(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

func wantTip(t testing.TB, s *Source, want string) {
	t.Helper()
	if got, err := s.Tip(t.Context()); err != nil || got.String() != want {
		t.Fatalf("tip %s, %v; want %s", got, err, want)
	}
}

func wantPaths(t testing.TB, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// server serves a repository with git http-backend. A non-empty token is asked for as the password.
type server struct {
	*httptest.Server
	mu    sync.Mutex
	down  bool
	posts int
	lists int
}

func serve(t testing.TB, r *repo, token string) *server {
	t.Helper()
	backend, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	h := &cgi.Handler{
		Path:   filepath.Join(strings.TrimSpace(string(backend)), "git-http-backend"),
		Env:    []string{"GIT_PROJECT_ROOT=" + r.dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
		Stderr: io.Discard,
	}
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s.mu.Lock()
		down := s.down
		_, pass, _ := req.BasicAuth()
		if req.Method == http.MethodPost {
			s.posts++
		} else if pass == token {
			s.lists++
		}
		s.mu.Unlock()
		switch {
		case down:
			http.Error(w, "down", http.StatusServiceUnavailable)
		case pass != token:
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "no", http.StatusUnauthorized)
		default:
			h.ServeHTTP(w, req)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) url(user string) string {
	if user != "" {
		user += "@"
	}
	return strings.Replace(s.URL, "http://", "http://"+user, 1) + "/.git"
}

// requests counts those for objects.
func (s *server) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.posts
}

// checks counts those that list refs.
func (s *server) checks() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lists
}

func (s *server) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// watch collects what Watch reports, and fails when fn runs twice at once.
func watch(t testing.TB, s *Source) chan Hash {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	tips := make(chan Hash, 100)
	done := make(chan error, 1)
	var busy sync.Mutex
	go func() {
		done <- s.Watch(ctx, func(h Hash) {
			if !busy.TryLock() {
				t.Error("fn was called concurrently")
				return
			}
			defer busy.Unlock()
			tips <- h
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != context.Canceled {
			t.Errorf("Watch returned %v", err)
		}
	})
	return tips
}

// await takes tips until want comes, and returns how long that took.
func await(t testing.TB, tips chan Hash, want string) time.Duration {
	t.Helper()
	start := time.Now()
	deadline := time.After(time.Minute)
	for {
		select {
		case h := <-tips:
			if h.String() == want {
				return time.Since(start)
			}
		case <-deadline:
			t.Fatalf("tip %s was not seen", want)
		}
	}
}

func logTo(buf *bytes.Buffer, mu *sync.Mutex) *slog.Logger {
	return slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return buf.Write(p)
	}), nil))
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
