package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/gitops/forge"
)

// gitea is a real forge with one repository, and a clone of it.
type gitea struct {
	t   *testing.T
	url string
	dir string
}

func (g *gitea) api(method, path string, in, out any) {
	g.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		g.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(g.t.Context(), method, g.url+"/api/v1/"+path, bytes.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	req.SetBasicAuth(devcluster.ForgeUser, devcluster.ForgePassword)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		g.t.Fatalf("%s %s: %s", method, path, res.Status)
	}
	if out != nil {
		if err := json.NewDecoder(res.Body).Decode(out); err != nil {
			g.t.Fatal(err)
		}
	}
}

func (g *gitea) git(args ...string) string {
	g.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = g.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		g.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (g *gitea) commit(name string) {
	g.t.Helper()
	if err := os.WriteFile(filepath.Join(g.dir, name), nil, 0o644); err != nil {
		g.t.Fatal(err)
	}
	g.git("add", "-A")
	g.git("commit", "-q", "-m", name)
}

// TestForge: the pull request that a commit came from has one comment for each release, which says how it is now; a commit
// without one is no trouble.
func TestForge(t *testing.T) {
	dev, err := devcluster.Start(t.Context(), devcluster.Config{NoControlPlane: true, Forge: true, Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dev.Stop(); err != nil {
			t.Error(err)
		}
	})
	g := &gitea{t: t, url: dev.Forge, dir: t.TempDir()}
	var token struct {
		SHA1 string `json:"sha1"`
	}
	g.api(http.MethodPost, "users/"+devcluster.ForgeUser+"/tokens", map[string]any{"name": "n", "scopes": []string{"write:repository", "write:issue", "read:user"}}, &token)
	g.api(http.MethodPost, "user/repos", map[string]any{"name": "models", "default_branch": "main", "auto_init": true}, nil)
	remote := strings.Replace(dev.Forge, "://", "://"+devcluster.ForgeUser+":"+token.SHA1+"@", 1) + "/" + devcluster.ForgeUser + "/models.git"
	g.git("clone", "-q", "-b", "main", remote, ".")
	g.git("switch", "-qc", "topic")
	g.commit("promote")
	g.git("push", "-q", "origin", "topic")
	repo := "repos/" + devcluster.ForgeUser + "/models/"
	g.api(http.MethodPost, repo+"pulls", map[string]any{"head": "topic", "base": "main", "title": "Promote"}, nil)
	for merged := false; !merged; { // the forge looks first whether it can be
		var pull struct{ Mergeable bool }
		g.api(http.MethodGet, repo+"pulls/1", nil, &pull)
		if merged = pull.Mergeable; merged {
			g.api(http.MethodPost, repo+"pulls/1/merge", map[string]any{"Do": "merge"}, nil)
		}
	}
	g.git("switch", "-q", "main")
	g.git("pull", "-q")
	merge := g.git("rev-parse", "HEAD")
	g.commit("by hand")
	g.git("push", "-q", "origin", "main")

	f, err := forge.New(forge.Config{
		Kind: forge.Gitea, Repository: remote, Branch: "main", Token: func(context.Context) (string, error) { return token.SHA1, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	source, err := gitops.Open(t.Context(), gitops.Config{URL: g.dir})
	if err != nil {
		t.Fatal(err)
	}
	send := Forge("pull <requests>", f, source)
	m := failed("v2")
	m.Commit, m.State = merge, Failed
	back, byHand := m, m
	back.State, byHand.Commit = RolledBack, g.git("rev-parse", "HEAD")
	if err := send(t.Context(), []Message{m, byHand, back}); err != nil {
		t.Fatal(err)
	}
	var comments []struct{ Body string }
	g.api(http.MethodGet, repo+"issues/1/comments", nil, &comments)
	if len(comments) != 1 || !strings.Contains(comments[0].Body, "**production/iris: v2 was rolled back to v1**") || strings.Contains(comments[0].Body, "<!channel>") {
		t.Errorf("comments %q", comments)
	}
}
