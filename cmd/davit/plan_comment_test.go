package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// commentsOf is as much of a forge of kind Gitea as comments need.
type commentsOf struct {
	mu     sync.Mutex
	bodies []string
	asked  []string
}

func (f *commentsOf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r.Method+" "+r.URL.Path)
	w.Header().Set("Content-Type", "application/json")
	var sent struct{ Body string }
	if r.Method != http.MethodGet {
		json.NewDecoder(r.Body).Decode(&sent)
	}
	switch path := strings.TrimPrefix(r.URL.Path, "/api/v1"); {
	case path == "/user":
		fmt.Fprint(w, `{"login":"davit"}`)
	case r.Method == http.MethodGet && path == "/repos/acme/models/issues/7/comments":
		all := []map[string]any{}
		for i, body := range f.bodies {
			all = append(all, map[string]any{"id": i + 1, "body": body, "user": map[string]any{"login": "davit"}})
		}
		json.NewEncoder(w).Encode(all)
	case r.Method == http.MethodPost && path == "/repos/acme/models/issues/7/comments":
		f.bodies = append(f.bodies, sent.Body)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, "{}")
	case r.Method == http.MethodPatch && path == "/repos/acme/models/issues/comments/1":
		f.bodies[0] = sent.Body
		fmt.Fprint(w, "{}")
	default:
		http.Error(w, `{"message":"no such thing"}`, http.StatusNotFound)
	}
}

func runPlan(t *testing.T, args ...string) (code int, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(append([]string{"plan"}, args...), &out, &errs)
	return code, errs.String()
}

// TestPlanComment sets one comment, edits it, and says when there is nothing any more.
func TestPlanComment(t *testing.T) {
	forge := &commentsOf{}
	server := httptest.NewServer(forge)
	defer server.Close()
	t.Setenv(forgeToken, "secret")
	t.Setenv("GIT_CONFIG_GLOBAL", "/dev/null")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../examples/iris/registry")); err != nil {
		t.Fatal(err)
	}
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=Ada", "-c", "user.email=ada@example.com"}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git("init", "-q", "-b", "main")
	git("add", ".")
	git("commit", "-qm", "first")
	edit := func(from, to string) {
		t.Helper()
		name := filepath.Join(dir, "releases/iris/production.yaml")
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, bytes.ReplaceAll(data, []byte(from), []byte(to)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	edit("version: v1", "version: v2")
	if code, stderr := runPlan(t, "-C", dir, "--comment", "7", "--forge", "Gitea"); code != exitUsage || !strings.Contains(stderr, "--repository URL") {
		t.Fatalf("without a remote: %d, %s", code, stderr)
	}
	git("remote", "add", "origin", server.URL+"/acme/models.git")
	for _, step := range []struct {
		change, want string
		code         int
	}{
		{"v2", "`production/iris` `v1` → `v2`", exitChanges},
		{"v3", "`production/iris` `v1` → `v3`", exitChanges},
		{"v1", "### davit plan: no changes", 0},
	} {
		edit("version: v2", "version: "+step.change)
		edit("version: v3", "version: "+step.change)
		code, stderr := runPlan(t, "-C", dir, "--comment", "7", "--forge", "Gitea")
		if code != step.code || !strings.Contains(stderr, "the plan is on pull request 7") {
			t.Fatalf("%d, %s", code, stderr)
		}
		if len(forge.bodies) != 1 || !strings.Contains(forge.bodies[0], step.want) || !strings.HasSuffix(forge.bodies[0], "<!-- davit:plan -->") {
			t.Fatalf("want %q in one comment, have %q", step.want, forge.bodies)
		}
	}
	t.Setenv(forgeToken, "")
	if code, stderr := runPlan(t, "-C", dir, "--comment", "7", "--forge", "Gitea"); code != exitFailed || !strings.Contains(stderr, "set "+forgeToken) {
		t.Errorf("without a token: %d, %s", code, stderr)
	}
}

// TestPlanCommentFrom posts what another job wrote, from a folder that is no repository, and lets it do nothing else.
func TestPlanCommentFrom(t *testing.T) {
	forge := &commentsOf{}
	server := httptest.NewServer(forge)
	defer server.Close()
	t.Setenv(forgeToken, "secret")
	t.Chdir(t.TempDir())
	post := func(text string) (int, string) {
		t.Helper()
		if err := os.WriteFile("plan.md", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return runPlan(t, "--comment", "7", "--comment-from", "plan.md", "--repository", server.URL+"/acme/models", "--forge", "Gitea")
	}
	for _, bad := range []struct{ text, want string }{
		{strings.Repeat("x", 60_001), "more than 60000 bytes"}, {"\xff\xfe", "is no text"}, {"a\x00b", "is no text"}, {" \n", "is empty"},
	} {
		if code, stderr := post(bad.text); code != exitFailed || !strings.Contains(stderr, bad.want) {
			t.Errorf("%.20q: %d, %s", bad.text, code, stderr)
		}
	}
	if len(forge.asked) > 0 {
		t.Errorf("the forge was asked for nothing: %q", forge.asked)
	}
	if code, stderr := post("### davit plan: 1 to change\n\n/merge\r/close\n> /approve\n - x/y\n<!-- davit:production -->"); code != 0 {
		t.Fatalf("%d, %s", code, stderr)
	}
	want := "### davit plan: 1 to change\n\n&#47;merge\n&#47;close\n> &#47;approve\n - x/y\n&lt;!-- davit:production -->\n\n<!-- davit:plan -->"
	if len(forge.bodies) != 1 || forge.bodies[0] != want {
		t.Errorf("%q\nwant %q", forge.bodies, want)
	}
	if code, stderr := post("### davit plan: no changes"); code != 0 || len(forge.bodies) != 1 || !strings.HasPrefix(forge.bodies[0], "### davit plan: no changes") {
		t.Errorf("%d, %s, %q", code, stderr, forge.bodies)
	}
}
