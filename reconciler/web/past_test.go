package web_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/fleet"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/reconciler/web"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

// past is a registry in a real git repository that no cluster serves.
type past struct {
	source   *gitops.Source
	snapshot *gitops.Snapshot
	models   *registry.Registry
	renderer render.Renderer
}

func (p *past) Registry() (*gitops.Snapshot, *registry.Registry)      { return p.snapshot, p.models }
func (p *past) Source() *gitops.Source                                { return p.source }
func (p *past) Behind() string                                        { return evil }
func (p *past) Clusters() []*cluster.Cluster                          { return nil }
func (p *past) Cluster(string) *cluster.Cluster                       { return nil }
func (p *past) Granted(string, string) bool                           { return true }
func (p *past) Renderer() *render.Renderer                            { return &p.renderer }
func (p *past) Floor(string) *registry.Policy                         { return nil }
func (p *past) Owner() string                                         { return "past" }
func (p *past) ModelRegistry(context.Context) *v1alpha1.ModelRegistry { return nil }
func (p *past) Runs(context.Context) (map[string]gitops.Run, map[string]bool, error) {
	return nil, nil, nil
}
func (p *past) Quota(string) registry.Quota { return registry.Quota{} }
func (p *past) CommitURL(string) string     { return `javascript:alert("commit")` }
func (p *past) MentionURL(string) string    { return `javascript:alert("mention")` }

// evil is what people write who want a page to do something.
const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>'`

// hostilePast is a registry whose words are all evil, behind its page.
func hostilePast(t *testing.T) http.Handler {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../examples/iris/registry")); err != nil {
		t.Fatal(err)
	}
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
			"GIT_AUTHOR_NAME=Ada "+evil, "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Grace "+evil, "GIT_COMMITTER_EMAIL=grace@example.com")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(file), 0o755)
		if err == nil {
			err = os.WriteFile(file, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	quoted, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	git("init", "-q", "-b", "main")
	git("add", "-A")
	git("commit", "-q", "-m", "iris at v1 "+evil)
	write("models/iris/README.md", evil+"\n\n[x](javascript:alert(1)) ![y](https://example.com/y.png)\n")
	write("models/iris/model.yaml", "apiVersion: davit.dev/v1alpha1\nkind: Model\nspec: {description: "+string(quoted)+", task: "+string(quoted)+", license: "+string(quoted)+", owners: [ada@example.com]}\n")
	write("models/iris/versions/v4.yaml", "apiVersion: davit.dev/v1alpha1\nkind: ModelVersion\nspec: {format: safetensors, architecture: "+string(quoted)+", precision: "+string(quoted)+
		", files: [{path: a, source: models/iris/files/v2/model.safetensors, sha256: "+strings.Repeat("ab", 32)+", size: 396}], metrics: {"+string(quoted)+": 1, accuracy: 0.5}, datasets: [{name: "+string(quoted)+", uri: "+string(quoted)+"}], lineage: {trainedBy: "+string(quoted)+"}}\n")
	write("models/iris/bad/v3.yaml", "apiVersion: davit.dev/v1alpha1\nkind: BadVersion\nspec: {reason: "+string(quoted)+", by: "+string(quoted)+", at: 2026-01-02T04:00:00Z}\n")
	write("releases/iris/staging.yaml", "apiVersion: davit.dev/v1alpha1\nkind: Release\nspec: {version: v4, args: {x: "+string(quoted)+"}}\n")
	git("add", "-A")
	git("commit", "-q", "-m", evil+"\n\nPull-Request: javascript:alert(3)\nDavit-From: "+evil)
	git("notes", "--ref=davit", "append", "-m", `{"at":"2026-01-02T02:02:00Z","release":"staging/iris","outcome":"Failed","version":"v4","reason":`+string(quoted)+`,"message":`+string(quoted)+`,"by":`+string(quoted)+`,"applied":"2026-01-02T02:01:00Z"}`, "HEAD")
	h, models := pastPage(t, dir)
	if iris := models.Models["iris"]; iris == nil || iris.Versions["v4"] == nil {
		t.Fatal(models.Faults)
	}
	return h
}

// pastPage is the page over a registry in a git repository.
func pastPage(t *testing.T, dir string) (http.Handler, *registry.Registry) {
	t.Helper()
	var err error
	p := &past{}
	if p.source, err = gitops.Open(t.Context(), gitops.Config{URL: dir}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.source.Close() })
	tip, err := p.source.Tip(t.Context())
	if err == nil {
		p.snapshot, err = p.source.Snapshot(t.Context(), tip)
	}
	if err == nil {
		p.models, err = registry.Load(p.snapshot)
	}
	if err != nil {
		t.Fatal(err)
	}
	data := fleet.New(fleet.Config{})
	t.Cleanup(data.Follow(context.WithoutCancel(t.Context()), "models", p))
	page, err := web.New(web.Config{Fleet: data})
	if err != nil {
		t.Fatal(err)
	}
	return page, p.models
}

func get(t *testing.T, h http.Handler, path string) (status int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil))
	return w.Code, w.Body.String()
}

// TestHostilePast: commits, versions, outcomes and cards do nothing in a page, whatever they say.
func TestHostilePast(t *testing.T) {
	h := hostilePast(t)
	_, list := get(t, h, "/api/v1/registries/models/timeline")
	var told fleet.Timeline
	if err := json.Unmarshal([]byte(list), &told); err != nil || len(told.Commits) != 2 {
		t.Fatal(err, list)
	}
	for path, wants := range map[string][]string{
		"/models/timeline": {"&lt;script&gt;", "class=\"strip\"", "staging/iris"}, "/models/timeline?commit=" + told.Commits[0].Commit[:12]: {"&lt;script&gt;", `id="one"`},
		"/models/timeline?author=%22%3E%3Cscript%3E&release=%3Cimg%20src=x%3E": {"&lt;img src=x&gt;", "No commit is like that"},
		"/models":                       {`id="behind"`, "&lt;script&gt;"},
		"/models/releases/staging/iris": {"&lt;script&gt;", "v1 →"}, "/models/releases/staging/iris/diff": {"&lt;script&gt;", "Image layers"}, "/models/gpus": {"GPUs of models"},
		"/models/models": {"&lt;script&gt;"}, "/models/models/iris": {"&lt;script&gt;", `class="lineage"`, `class="plot"`, "[image: y]"}, "/models/models?q=%3Cscript%3Ealert%281%29%3C%2Fscript%3E": {"&lt;script&gt;"},
	} {
		status, body := get(t, h, path)
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("%s has no %q:\n%s", path, want, body)
			}
		}
		checkPage(t, path, body)
	}
}

// checkPage reports what in a page runs, loads or leads to where nothing of davit's does.
func checkPage(t *testing.T, path, body string) {
	t.Helper()
	for z := html.NewTokenizer(strings.NewReader(body)); ; {
		kind := z.Next()
		if kind == html.ErrorToken {
			return
		}
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		token := z.Token()
		for _, a := range token.Attr {
			low := strings.ToLower(strings.TrimSpace(a.Val))
			switch {
			case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "srcset", a.Key == "src" && a.Val != "/-/static/page.js" && a.Val != "/-/static/keys.js":
				t.Errorf("%s: %s", path, token)
			case (a.Key == "href" || a.Key == "action") && (strings.HasPrefix(low, "javascript:") || strings.HasPrefix(low, "data:")):
				t.Errorf("%s: %s", path, token)
			}
		}
		switch token.Data {
		case "img", "iframe", "object", "embed", "style", "base":
			t.Errorf("%s: %s", path, token)
		case "script":
			if len(token.Attr) == 0 {
				t.Errorf("%s: a script without a source", path)
			}
		}
	}
}

// TestPastIsAsked: what is wrong in a query is told, and what is not there is not found.
func TestPastIsAsked(t *testing.T) {
	h := hostilePast(t)
	for path, want := range map[string]int{
		"/models/timeline?since=12h": http.StatusOK, "/models/timeline?since=30d&until=2026-03-31": http.StatusOK, "/models/timeline?since=2026-01-01T00:00:00Z": http.StatusOK,
		"/models/timeline?since=2027-01-01&until=2026-01-01": http.StatusOK, "/models/timeline?until=1999-01-01": http.StatusOK, "/models/timeline?since=0001-01-01": http.StatusOK,
		"/models/timeline?since=9999-01-01": http.StatusOK, "/models/timeline?since=soon": http.StatusBadRequest, "/models/timeline?since=99999999d": http.StatusBadRequest,
		"/models/timeline?since=-5h": http.StatusBadRequest, "/models/timeline?from=x": http.StatusBadRequest, "/models/timeline?from=999999": http.StatusOK,
		"/other/timeline": http.StatusNotFound, "/models/models/none": http.StatusNotFound, "/models/models/iris?version=none&metric=none": http.StatusOK, "/models/models?limit=x": http.StatusBadRequest,
		"/api/v1/registries/models/models/iris": http.StatusOK, "/api/v1/registries/models/models/none": http.StatusNotFound,
	} {
		if status, body := get(t, h, path); status != want {
			t.Errorf("%s: %d, want %d: %.300s", path, status, want, body)
		}
	}
}
