package forge

import (
	"errors"
	"net/http"
	"testing"
)

func testCommitComment(t *testing.T, w *world) {
	f := w.open()
	commit, _ := w.tip()
	if err := f.CommentCommit(t.Context(), commit, "healthy"); !errors.Is(err, ErrNoCommitComments) {
		t.Errorf("commented on a commit: %v", err)
	}
	at := CommitURL(Config{Kind: Gitea, Repository: w.clone("davit")}, commit)
	res, err := http.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusSeeOther {
		t.Errorf("%s is %s", at, res.Status)
	}
}

func TestCommentCommit(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	hub := "POST /api/v3/repos/acme/ml/models/commits/" + commit + "/comments"
	lab := "POST /api/v4/projects/acme%2Fml%2Fmodels/repository/commits/" + commit + "/comments"
	s := newStandIn(t, map[string][]answer{hub: {{status: 201, body: "{}"}}, lab: {{status: 201, body: "{}"}}})
	for _, kind := range []string{GitHub, GitLab} {
		if err := s.open(t, kind).CommentCommit(t.Context(), commit, "healthy"); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	s.wrote(t, hub+` {"body":"healthy"}`, lab+` {"note":"healthy"}`)
	if err := s.open(t, GitLab).CommentCommit(t.Context(), "HEAD/../x", "healthy"); err == nil {
		t.Error("what is no commit was commented on")
	}
}

func TestCommitURL(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	for _, test := range []struct {
		cfg  Config
		want string
	}{
		{Config{Repository: "https://x:pl4nted-git@github.com/o/r.git"}, "https://github.com/o/r/commit/" + commit},
		{Config{Repository: "git@gitlab.com:o/g/r.git"}, "https://gitlab.com/o/g/r/-/commit/" + commit},
		{Config{Kind: Gitea, URL: "https://git.example.com/forge", Repository: "ssh://git@git.example.com/o/r"}, "https://git.example.com/forge/o/r/commit/" + commit},
		{Config{Repository: "https://git.example.com/o/r"}, ""},
		{Config{Repository: "/srv/models.git"}, ""},
	} {
		if got := CommitURL(test.cfg, commit); got != test.want {
			t.Errorf("%s: %s, want %s", test.cfg.Repository, got, test.want)
		}
	}
	if got := CommitURL(Config{Repository: "https://github.com/o/r"}, "../../x"); got != "" {
		t.Errorf("no commit is at %s", got)
	}
}
