package reconciler_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/davit-dev/davit/gitops"
	forges "github.com/davit-dev/davit/gitops/forge"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// pulls is a forge with the one pull request of a promotion, which does what it is told to.
type pulls struct {
	mu                   sync.Mutex
	base                 string
	opened               int  // how many there were
	closed, merged, deny bool // deny shows nothing to this token
	denied, merges       int  // how often that was, and how often it was to be merged
}

func (p *pulls) set(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
}

func (p *pulls) get(what *int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return *what
}

func (p *pulls) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, path, _ := strings.Cut(req.URL.Path, "/repos/o/r/")
	repo := map[string]any{"id": 1, "full_name": "o/r"}
	number := max(p.opened, 1)
	pull := map[string]any{
		"number": number, "html_url": fmt.Sprintf("http://%s/o/r/pulls/%d", req.Host, number), "merged": p.merged, "state": map[bool]string{true: "closed", false: "open"}[p.closed],
		"head": map[string]any{"ref": promotionBranch, "repo": repo}, "base": map[string]any{"ref": p.base, "repo": repo},
	}
	var answer any = []any{}
	switch {
	case p.deny:
		p.denied++
		http.Error(w, "{}", http.StatusNotFound)
		return
	case req.Method == http.MethodPost && path == "pulls":
		p.opened++
		p.closed, p.merged = false, false
		pull["number"], answer = p.opened, pull
	case req.Method == http.MethodPost && strings.HasSuffix(path, "/merge"):
		p.merges++
		http.Error(w, `{"message": "not now"}`, http.StatusMethodNotAllowed)
		return
	case req.Method == http.MethodPatch && strings.HasPrefix(path, "pulls/"):
		var body struct{ State string }
		_ = json.NewDecoder(req.Body).Decode(&body)
		p.closed = p.closed || body.State == "closed"
		answer = pull
	case path == "pulls":
		if p.opened > 0 && !p.closed {
			answer = []any{pull}
		}
	case strings.HasPrefix(path, "pulls/"):
		answer = pull
	case strings.HasSuffix(path, "/comments") && req.Method == http.MethodGet:
	default:
		answer = map[string]any{}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// pulls has a reconciler propose on a forge.
func (w *world) pulls() (*pulls, func(*reconciler.Config)) {
	p := &pulls{base: "main"}
	server := httptest.NewServer(p)
	w.t.Cleanup(server.Close)
	return p, func(c *reconciler.Config) {
		proposing(c)
		var err error
		c.Forge, err = forges.New(forges.Config{Kind: forges.Gitea, Repository: server.URL + "/o/r.git", Branch: "main"})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestPromotionForgeForgets: a forge that shows nothing to the token declines nothing; a pull request that a person sends to
// another branch is not merged by a rule; and a branch with work that came after its pull request was merged stays.
func TestPromotionForgeForgets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.merging("")
	forge, proposed := w.pulls()
	w.follow(proposed)
	w.bothHealthy()
	push := func() {
		w.write("note", time.Now().String())
		w.commit("a push")
	}
	w.serve("staging", "v2")
	w.offers("v2")
	w.eventually("it would be merged", func() bool { return forge.get(&forge.merges) > 0 })
	forge.set(func() { forge.base = "other" })
	push()
	w.eventually("it waits for the base", func() bool { return strings.Contains(w.promotion().Waits, "goes to other, and not to main") })
	forge.set(func() { forge.deny = true })
	push()
	w.eventually("the forge shows nothing", func() bool { return forge.get(&forge.denied) > 3 })
	if p := w.promotion(); p.Declined || !w.has(promotionBranch) {
		t.Errorf("%+v", p)
	}
	forge.set(func() { forge.deny, forge.base, forge.merges = false, "main", 0 })
	push()
	w.eventually("it would be merged again", func() bool { return forge.get(&forge.merges) > 0 })

	w.edit("releases/iris/production.yaml", "{from: staging, merge: auto}", "{from: staging}")
	w.commit("people merge")
	w.git("checkout", "-q", promotionBranch)
	w.write("models/iris/evidence/v2/card.md", "It was looked at.")
	w.commit("the model card of v2")
	w.git("checkout", "-q", "main")
	forge.set(func() { forge.closed, forge.merged = true, true })
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("Promote production/iris to v2 (squashed)")
	w.until(production, "v2", v1alpha1.Healthy)
	w.eventually("the status names nothing", func() bool { return w.promotion().Where == "" })
	if !w.has(promotionBranch) {
		t.Error("the branch went with the model card on it")
	}
}

// TestPromotionMergesWhatIs: what a push that nobody told of has ended is not merged.
func TestPromotionMergesWhatIs(t *testing.T) {
	w := newWorld(t)
	w.merging("")
	w.git("config", "http.receivepack", "true")
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(&cgi.Handler{
		Path: git, Args: []string{"http-backend"}, Env: []string{"GIT_PROJECT_ROOT=" + w.dir, "GIT_HTTP_EXPORT_ALL=1"},
	})
	t.Cleanup(server.Close)
	forge, proposed := w.pulls()
	var source *gitops.Source
	w.follow(proposed, func(c *reconciler.Config) {
		source, err = gitops.Open(t.Context(), gitops.Config{URL: server.URL + "/.git", Branch: "main", Mirror: t.TempDir(), Interval: time.Hour})
		if err != nil {
			t.Error(err)
		}
		c.Source = source
	})
	w.bothHealthy()
	until := time.Now().Add(60 * time.Second)
	freeze := fmt.Sprintf("  freeze: [{name: launch, from: 2026-01-01T00:00:00Z, until: %s}]\n", until.UTC().Format(time.RFC3339))
	w.edit("environments/production/environment.yaml", "spec:\n", "spec:\n"+freeze)
	w.serve("staging", "v2")
	source.Notify()
	w.offers("v2")
	w.eventually("it waits for the freeze", func() bool { return strings.Contains(w.promotion().Waits, "freeze launch lasts until ") })
	w.edit("environments/production/environment.yaml", "autoMerge: true", "autoMerge: false")
	w.commit("people merge")
	w.eventually("people are to merge it", func() bool { return strings.Contains(w.promotion().Waits, "does not let rules merge") })
	if n := forge.get(&forge.merges); n > 0 || time.Now().Before(until.Truncate(time.Second)) {
		t.Errorf("it was to be merged %d times", n)
	}
}
