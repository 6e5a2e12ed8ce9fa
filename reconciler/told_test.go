package reconciler_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	forges "github.com/davit-dev/davit/gitops/forge"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// statuses is a forge that takes commit statuses and has nothing else.
type statuses struct {
	mu   sync.Mutex
	all  []string // commit context state
	deny int      // how many are refused first
}

func (s *statuses) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, commit, post := strings.Cut(req.URL.Path, "/repos/o/r/statuses/")
	var body struct{ Context, State, Description string }
	switch {
	case strings.HasSuffix(req.URL.Path, "/status"):
		_, _ = w.Write([]byte("{}"))
	case !post:
		http.Error(w, "{}", http.StatusNotFound)
	case s.deny > 0:
		s.deny--
		w.Header().Set("Retry-After", "1")
		http.Error(w, "{}", http.StatusTooManyRequests)
	default:
		_ = json.NewDecoder(req.Body).Decode(&body)
		s.all = append(s.all, strings.Join([]string{commit, body.Context, body.State}, " "))
		_, _ = w.Write([]byte("{}"))
	}
}

// told has a reconciler tell verdicts to a forge.
func (w *world) told() (*statuses, func(*reconciler.Config)) {
	s := &statuses{}
	server := httptest.NewServer(s)
	w.t.Cleanup(server.Close)
	return s, func(c *reconciler.Config) {
		var err error
		c.Forge, err = forges.New(forges.Config{Kind: forges.Gitea, Repository: server.URL + "/o/r.git", Branch: "main"})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// last is the newest state of a commit in production.
func (s *statuses) last(commit string) (state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.all {
		if after, ok := strings.CutPrefix(line, commit+" davit/production "); ok {
			state = after
		}
	}
	return state
}

// TestVerdictsComeToAnEnd: also of a commit that changes nothing, that a held release stays away from, and that has a
// fault; when the process ends at once; and after refusals.
func TestVerdictsComeToAnEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	told, telling := w.told()
	stop := w.follow(telling)
	w.until(production, "v1", v1alpha1.Healthy)
	is := func(what, want string) {
		t.Helper()
		commit := w.git("rev-parse", "HEAD")
		w.eventually(what+" is "+want, func() bool { return told.last(commit) == want })
	}
	is("the first commit", "success")
	w.edit("releases/iris/serving.yaml", "  replicas: 1", "  replicas: 1 # one is enough")
	w.commit("a comment")
	is("a comment", "success")
	w.edit("releases/iris/production.yaml", "version: v1", "version: v9")
	w.commit("a fault")
	is("a fault", "failure")
	told.mu.Lock()
	told.deny = 2
	told.mu.Unlock()
	w.edit("releases/iris/production.yaml", "version: v9", "version: v3")
	w.commit("promote v3")
	w.until(production, "v1", v1alpha1.RolledBack)
	is("what crashes", "failure")
	w.edit("runtimes/iris-server/0.1.0/deployment.yaml", "spec:\n  replicas: 1\n", "spec:\n  replicas: 1\n  revisionHistoryLimit: 3\n")
	w.commit("a shared change")
	is("what is kept away", "success")
	w.edit("releases/iris/production.yaml", "version: v3", "version: v2")
	w.commit("promote v2")
	w.until(production, "v2", v1alpha1.Healthy)
	stop()
	if got := told.last(w.git("rev-parse", "HEAD")); got != "success" {
		t.Errorf("when the process has ended, v2's is %q", got)
	}
	again, telling := w.told()
	if err := w.reconciler(telling).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := again.last(w.git("rev-parse", "HEAD")); got != "success" {
		t.Errorf("the next process said %q", got)
	}
}
