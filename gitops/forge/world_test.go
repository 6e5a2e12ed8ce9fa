package forge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/davit-dev/davit/deploy/devcluster"
)

// world is a repository on a real Gitea, and a clone of it driven by the real git.
type world struct {
	t     *testing.T
	forge string // its address
	name  string
	dir   string
	token string
	sent  atomic.Int32 // writes of davit's
}

func newWorld(t *testing.T, address, token, name string) *world {
	w := &world{t: t, forge: address, name: name, dir: t.TempDir(), token: token}
	w.api(http.MethodPost, "user/repos", map[string]any{"name": name, "default_branch": "main", "auto_init": true}, http.StatusCreated, nil)
	w.git("init", "-q", "-b", "main")
	w.git("remote", "add", "origin", w.clone(devcluster.ForgeUser))
	w.git("pull", "-q", "origin", "main")
	return w
}

// clone is the URL with credentials.
func (w *world) clone(owner string) string {
	return strings.Replace(w.forge, "://", "://"+devcluster.ForgeUser+":"+w.token+"@", 1) + "/" + owner + "/" + w.name + ".git"
}

func (w *world) git(args ...string) string {
	w.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (w *world) commit(subject string) string {
	w.t.Helper()
	file := strings.ReplaceAll(subject, "/", "-")
	if err := os.WriteFile(filepath.Join(w.dir, file), []byte(subject), 0o644); err != nil {
		w.t.Fatal(err)
	}
	w.git("add", "-A")
	w.git("commit", "-q", "-m", subject)
	return w.git("rev-parse", "HEAD")
}

// branch pushes a branch from main with that many commits.
func (w *world) branch(name string, commits int) {
	w.t.Helper()
	w.git("fetch", "-q", "origin")
	w.git("checkout", "-q", "-B", name, "origin/main")
	for n := range commits {
		w.commit(fmt.Sprintf("%s %d", name, n))
	}
	w.git("push", "-q", "origin", name)
}

// tip is main's commit and its message.
func (w *world) tip() (string, string) {
	w.t.Helper()
	w.git("fetch", "-q", "origin")
	return w.git("rev-parse", "origin/main"), w.git("log", "-1", "--format=%B", "origin/main")
}

// api asks the forge as its administrator; with a user in the path, as that one.
func (w *world) api(method, path string, in any, want int, out any) {
	w.t.Helper()
	if status, text := w.try(method, path, in, out); status != want {
		w.t.Fatalf("%s %s: %d, want %d\n%s", method, path, status, want, text)
	}
}

// try is api for who takes any answer: its status and its text, which is decoded into out where all went well.
func (w *world) try(method, path string, in, out any) (status int, text string) {
	w.t.Helper()
	user, path, as := strings.Cut(path, "@")
	if !as {
		user, path = devcluster.ForgeUser, user
	}
	body, err := json.Marshal(in)
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.forge+"/api/v1/"+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.SetBasicAuth(user, devcluster.ForgePassword)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	if err == nil && out != nil && res.StatusCode < 300 {
		err = json.Unmarshal(body, out)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func (w *world) repo(path string, args ...any) string {
	return "repos/" + devcluster.ForgeUser + "/" + w.name + "/" + fmt.Sprintf(path, args...)
}

// RoundTrip counts what is written.
func (w *world) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet {
		w.sent.Add(1)
	}
	return http.DefaultTransport.RoundTrip(req)
}

// writes runs fn and checks how many writes it took.
func (w *world) writes(want int32, fn func() error) {
	w.t.Helper()
	before := w.sent.Load()
	if err := fn(); err != nil {
		w.t.Fatal(err)
	}
	if got := w.sent.Load() - before; got != want {
		w.t.Errorf("%d writes, want %d", got, want)
	}
}

func (w *world) open() *Forge {
	w.t.Helper()
	f, err := New(Config{
		Kind: Gitea, Repository: w.clone(devcluster.ForgeUser), Branch: "main", Client: &http.Client{Transport: w}, Log: logTo(w.t),
		Token: func(context.Context) (string, error) { return w.token, nil },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

// merge merges a pull request; right after it was opened, Gitea may still be looking whether it can be.
func (w *world) merge(number int, style string) {
	w.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		w.mergeable(number)
		status, text := w.try(http.MethodPost, w.repo("pulls/%d/merge", number), map[string]any{"Do": style}, nil)
		if status == http.StatusOK {
			return
		}
		if !strings.Contains(text, "try again later") || time.Now().After(deadline) {
			w.t.Fatalf("merging pull request %d: %d\n%s", number, status, text)
		}
	}
}

func (w *world) mergeable(number int) {
	w.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		var pr struct {
			Mergeable bool `json:"mergeable"`
		}
		if w.api(http.MethodGet, w.repo("pulls/%d", number), nil, http.StatusOK, &pr); pr.Mergeable {
			break
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("pull request %d can't be merged", number)
		}
	}
}

// mergeSoon merges, again while the forge looks at the pull request once more and says so: after a merge that it refused, and after
// a push, it does, whatever it told of the pull request just before.
func (w *world) mergeSoon(f *Forge, pr PullRequest, m Merge) {
	w.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := f.Merge(w.t.Context(), pr.Number, m)
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), "try again later") || time.Now().After(deadline) {
			w.t.Fatal(err)
		}
	}
}

type comment struct {
	ID   int    `json:"id"`
	Body string `json:"body"`
	User struct {
		Login string `json:"login"`
	} `json:"user"`
}

func (w *world) comments(number int) []comment {
	w.t.Helper()
	var all []comment
	w.api(http.MethodGet, w.repo("issues/%d/comments", number), nil, http.StatusOK, &all)
	return all
}
