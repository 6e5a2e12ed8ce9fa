package forge

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/davit-dev/davit/deploy/devcluster"
)

func TestGitea(t *testing.T) {
	dev, err := devcluster.Start(t.Context(), devcluster.Config{NoControlPlane: true, Forge: true, Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dev.Stop(); err != nil {
			t.Error(err)
		}
	})
	admin := &world{t: t, forge: dev.Forge}
	var token struct {
		SHA1 string `json:"sha1"`
	}
	admin.api(http.MethodPost, "users/"+devcluster.ForgeUser+"/tokens", map[string]any{
		"name": "davit", "scopes": []string{"write:repository", "write:issue", "read:user"},
	}, http.StatusCreated, &token)
	admin.api(http.MethodPost, "admin/users", map[string]any{
		"username": "mallory", "password": devcluster.ForgePassword, "email": "mallory@example.com", "must_change_password": false,
	}, http.StatusCreated, nil)

	for name, test := range map[string]func(*testing.T, *world){
		"propose": testPropose, "race": testRace, "fork": testFork, "merged": testMerged, "status": testStatus,
		"comment": testComment, "merge": testMerge, "webhook": testWebhook, "token": testToken, "commitcomment": testCommitComment,
	} {
		t.Run(name, func(t *testing.T) { test(t, newWorld(t, dev.Forge, token.SHA1, name)) })
	}
}

func testPropose(t *testing.T, w *world) {
	f := w.open()
	w.branch("davit/promote", 1)
	w.branch("other", 1)
	if _, err := f.Propose(t.Context(), PullRequest{Branch: "davit/missing", Title: "x"}); err == nil {
		t.Error("a branch that is not there was proposed")
	}
	pr := PullRequest{Branch: "davit/promote", Title: "Promote iris", Body: "to `v2`\n\nby *davit*"}
	var got PullRequest
	w.writes(1, func() (err error) { got, err = f.Propose(t.Context(), pr); return err })
	want := PullRequest{
		Branch: pr.Branch, Base: "main", Title: pr.Title, Body: pr.Body, Number: 1, Author: devcluster.ForgeUser,
		URL: w.forge + "/" + devcluster.ForgeUser + "/" + w.name + "/pulls/1",
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	w.writes(0, func() (err error) { got, err = f.Propose(t.Context(), pr); return err })
	pr.Title, pr.Body = "Promote iris to v3", "v3"
	w.writes(1, func() (err error) { got, err = f.Propose(t.Context(), pr); return err })
	want.Title, want.Body = pr.Title, pr.Body
	if found, err := f.Find(t.Context(), 1); err != nil || found != want || got != want {
		t.Errorf("got  %+v\nfind %+v, %v\nwant %+v", got, found, err, want)
	}
	if _, err := f.Propose(t.Context(), PullRequest{Branch: "other", Title: "by hand"}); err != nil {
		t.Fatal(err)
	}
	if open, err := f.Open(t.Context(), "davit/"); err != nil || !slices.Equal(open, []PullRequest{want}) {
		t.Errorf("open: %+v, %v", open, err)
	}

	w.writes(2, func() error { return f.Close(t.Context(), 1, "superseded") })
	w.writes(0, func() error { return f.Close(t.Context(), 1, "superseded") })
	want.Closed = true
	if found, err := f.Find(t.Context(), 1); err != nil || found != want {
		t.Errorf("closed: %+v, %v", found, err)
	}
	if got := w.comments(1); len(got) != 1 || !strings.HasPrefix(got[0].Body, "superseded\n") {
		t.Errorf("comments: %+v", got)
	}
	if got, err := f.Propose(t.Context(), pr); err != nil || got.Number != 3 {
		t.Errorf("after the first was closed: %+v, %v", got, err)
	}
	if _, err := f.Find(t.Context(), 99); !notThere(err) {
		t.Errorf("a number that is not there: %v", err)
	}
}

// testMerge: what protects the branch holds, a commit that nobody looked at is not merged, and a repository that allows one
// way of merging gets that.
func testMerge(t *testing.T, w *world) {
	f := w.open()
	propose := func(name string) (PullRequest, Merge) {
		t.Helper()
		w.branch("davit/"+name, 1)
		pr, err := f.Propose(t.Context(), PullRequest{Branch: "davit/" + name, Title: "Promote " + name})
		if err != nil {
			t.Fatal(err)
		}
		w.mergeable(pr.Number)
		return pr, Merge{Head: w.git("rev-parse", "HEAD"), Title: "Promote " + name, Message: "By a rule.\n\nDavit-Merged-By-Rule: auto"}
	}
	refused := func(pr PullRequest, m Merge, status int) {
		t.Helper()
		err := f.Merge(t.Context(), pr.Number, m)
		for deadline := time.Now().Add(2 * time.Minute); err != nil && strings.Contains(err.Error(), "try again later") && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			err = f.Merge(t.Context(), pr.Number, m) // the forge looks at the pull request once more
		}
		e, ok := errors.AsType[*Error](err)
		if now, findErr := f.Find(t.Context(), pr.Number); !ok || e.Status != status || findErr != nil || now.Merged {
			t.Errorf("%v, want %d; %+v, %v", err, status, now, findErr)
		}
	}
	pr, m := propose("merge")
	refused(pr, Merge{Head: strings.Repeat("a", 40), Title: m.Title}, http.StatusConflict)
	w.mergeable(pr.Number)
	for range 2 { // merged already is no error
		w.mergeSoon(f, pr, m)
	}
	if _, message := w.tip(); !strings.HasPrefix(message, "Promote merge\n\nBy a rule.\n\nDavit-Merged-By-Rule: auto") {
		t.Errorf("merged as %q", message)
	}
	w.api(http.MethodPatch, strings.TrimSuffix(w.repo(""), "/"), map[string]any{"allow_merge_commits": false, "allow_rebase": false, "allow_rebase_explicit": false, "default_merge_style": "squash"}, http.StatusOK, nil)
	pr, m = propose("squash")
	w.mergeSoon(f, pr, m)
	if _, message := w.tip(); !strings.Contains(message, "Davit-Merged-By-Rule: auto") {
		t.Errorf("squashed as %q", message)
	}
	w.api(http.MethodPost, w.repo("branch_protections"), map[string]any{"rule_name": "main", "required_approvals": 1}, http.StatusCreated, nil)
	pr, m = propose("protected")
	refused(pr, m, http.StatusMethodNotAllowed)
}

// testRace lets five controllers propose the same at once.
func testRace(t *testing.T, w *world) {
	w.branch("davit/revert", 1)
	var wg sync.WaitGroup
	got := make([]PullRequest, 5)
	for n := range got {
		wg.Go(func() {
			var err error
			if got[n], err = w.open().Propose(t.Context(), PullRequest{Branch: "davit/revert", Title: "Revert"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	open, err := w.open().Open(t.Context(), "davit/")
	if err != nil || len(open) != 1 || open[0].Number != 1 {
		t.Errorf("open: %+v, %v", open, err)
	}
	for _, pr := range got {
		if pr.Number != 1 {
			t.Errorf("one controller has number %d", pr.Number)
		}
	}
}

// testFork has somebody propose from a branch of the same name in a fork, before davit does.
func testFork(t *testing.T, w *world) {
	w.api(http.MethodPost, "mallory@"+w.repo("forks"), map[string]any{}, http.StatusAccepted, nil)
	w.git("checkout", "-q", "-b", "davit/revert")
	w.commit("evil")
	w.git("push", "-q", w.clone("mallory"), "davit/revert")
	w.api(http.MethodPost, "mallory@"+w.repo("pulls"), map[string]any{
		"head": "mallory:davit/revert", "base": "main", "title": "mine",
	}, http.StatusCreated, nil)
	f := w.open()
	if open, err := f.Open(t.Context(), "davit/"); err != nil || len(open) != 0 {
		t.Errorf("open: %+v, %v", open, err)
	}
	w.git("checkout", "-q", "main")
	w.git("branch", "-q", "-D", "davit/revert")
	w.branch("davit/revert", 1)
	if got, err := f.Propose(t.Context(), PullRequest{Branch: "davit/revert", Title: "Revert"}); err != nil || got.Number != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	if pr, err := f.Find(t.Context(), 1); err != nil || pr.Title != "mine" || pr.Closed {
		t.Errorf("the other's: %+v, %v", pr, err)
	}
}

func testMerged(t *testing.T, w *world) {
	f := w.open()
	for _, style := range []string{"merge", "squash", "rebase", "rebase-merge"} {
		w.branch("davit/"+style, 2)
		pr, err := f.Propose(t.Context(), PullRequest{Branch: "davit/" + style, Title: "Promote by " + style})
		if err != nil {
			t.Fatal(err)
		}
		commit, _ := w.tip()
		claim := fmt.Sprintf("Promote (#%d)", pr.Number)
		if got, _, err := f.Merged(t.Context(), commit, claim); got.Number == pr.Number || err != nil {
			t.Errorf("%s: found before it was merged: %v", style, err)
		}
		w.merge(pr.Number, style)
		commit, message := w.tip()
		got, ok, err := f.Merged(t.Context(), commit, message)
		if err != nil || !ok || got.Number != pr.Number || !got.Merged || got.URL != pr.URL {
			t.Errorf("%s (%q): %+v, %t, %v", style, message, got, ok, err)
		}
	}

	// Pushed directly, with a message that claims somebody's pull request.
	w.git("checkout", "-q", "main")
	w.git("reset", "-q", "--hard", "origin/main")
	commit := w.commit("Promote by hand (#1)")
	w.git("push", "-q", "origin", "main")
	if got, ok, err := f.Merged(t.Context(), commit, "Promote by hand (#1)"); ok || err != nil {
		t.Errorf("by hand: %+v, %t, %v", got, ok, err)
	}
	if got, ok, err := f.Merged(t.Context(), commit, "Promote by hand (#99)"); ok || err != nil {
		t.Errorf("a number that is not there: %+v, %t, %v", got, ok, err)
	}
	// Merged, but into another branch than the followed one.
	f.branch = "release"
	commit = w.git("rev-parse", "HEAD~1")
	if got, ok, err := f.Merged(t.Context(), commit, ""); ok || err != nil {
		t.Errorf("another branch: %+v, %t, %v", got, ok, err)
	}
	if _, _, err := f.Merged(t.Context(), "../../admin", ""); err == nil {
		t.Error("a path was taken for a commit")
	}
}

func testStatus(t *testing.T, w *world) {
	f := w.open()
	commit, _ := w.tip()
	staging := Status{Context: "davit/staging", State: Success, Description: "iris v2 is healthy"}
	progress := Status{Context: "davit/production", State: Pending, Description: "iris v2 rolls out", URL: "https://davit.example.com/x"}
	failed := Status{Context: "davit/production", State: Failure, Description: strings.Repeat("é", 200)}
	back := progress
	back.Description = "again"
	w.writes(1, func() error { return f.Status(t.Context(), commit, staging) })
	w.writes(1, func() error { return f.Status(t.Context(), commit, progress) })
	w.writes(0, func() error { return f.Status(t.Context(), commit, progress) })
	w.writes(1, func() error { return f.Status(t.Context(), commit, failed) })
	w.writes(0, func() error { return f.Status(t.Context(), commit, failed) })
	w.writes(0, func() error { return w.open().Status(t.Context(), commit, failed) }) // a restarted controller
	w.writes(0, func() error { return w.open().Status(t.Context(), commit, staging) })
	w.writes(1, func() error { return w.open().Status(t.Context(), commit, back) })
	failed.Description = strings.Repeat("é", 139) + "…"

	type native struct{ Context, Status, Description, TargetURL string }
	var all []struct {
		Context     string `json:"context"`
		Status      string `json:"status"`
		Description string `json:"description"`
		URL         string `json:"target_url"`
	}
	w.api(http.MethodGet, w.repo("statuses/%s?sort=oldest", commit), nil, http.StatusOK, &all)
	var got, want []native
	for _, s := range all {
		got = append(got, native{s.Context, s.Status, s.Description, s.URL})
	}
	for _, s := range []Status{staging, progress, failed, back} {
		want = append(want, native{s.Context, string(s.State), s.Description, s.URL})
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if err := f.Status(t.Context(), commit, Status{State: Success}); err == nil {
		t.Error("a status without a context was sent")
	}
}

func testComment(t *testing.T, w *world) {
	f := w.open()
	w.branch("topic", 1)
	pr, err := f.Propose(t.Context(), PullRequest{Branch: "topic", Title: "topic"})
	if err != nil {
		t.Fatal(err)
	}
	// A stranger who copies the marker does not get davit's words under his name.
	const marker = "<!-- davit:production/iris -->"
	w.api(http.MethodPost, "mallory@"+w.repo("issues/%d/comments", pr.Number), map[string]any{"body": "me\n" + marker}, http.StatusCreated, nil)

	say := func(key, text string) func() error {
		return func() error { return f.Comment(t.Context(), pr.Number, key, text) }
	}
	w.writes(1, say("production/iris", "rolling out\n\nstep 1"))
	w.writes(0, say("production/iris", "rolling out\r\n\r\nstep 1\n"))
	w.writes(1, say("staging/iris", "healthy"))
	w.writes(1, say("production/iris", "healthy after 31 s"))
	w.writes(0, func() error { return w.open().Comment(t.Context(), pr.Number, "staging/iris", "healthy") })
	var got []string
	for _, c := range w.comments(pr.Number) {
		got = append(got, c.User.Login+": "+c.Body)
	}
	want := []string{
		"mallory: me\n" + marker, "davit: healthy after 31 s\n\n" + marker, "davit: healthy\n\n<!-- davit:staging/iris -->",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if err := f.Comment(t.Context(), pr.Number, "x --> <b>", "text"); err == nil {
		t.Error("a key that ends the marker was taken")
	}
}

func testToken(t *testing.T, w *world) {
	w.token = "pl4nted-forge-wrong"
	_, err := w.open().Find(t.Context(), 1)
	e, ok := asError(err)
	if !ok || e.Status != http.StatusUnauthorized || e.RetryAfter != 0 || strings.Contains(err.Error(), w.token) || !strings.Contains(err.Error(), "check the token") {
		t.Errorf("%v", err)
	}
}
