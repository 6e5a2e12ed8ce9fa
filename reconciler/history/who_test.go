package history

import (
	"fmt"
	"testing"
)

func TestPullRequest(t *testing.T) {
	for _, c := range []struct{ subject, body, want string }{
		{"Merge pull request #12 from ada/iris-v2", "Promote iris", "#12"},
		{"Promote iris (#12)", "", "#12"},
		{"Merge branch 'v2' into 'main'", "Promote iris\n\nSee merge request team/models!7", "team/models!7"},
		{"Merge branch 'v2' into 'main'", "Promote\n\nCloses #3\n\nSee merge request https://git.example.com/t/m/-/merge_requests/7", "https://git.example.com/t/m/-/merge_requests/7"},
		{"Merge pull request 'Promote iris' (#5) from ada/v2 into main", "Reviewed-on: https://git.example.com/t/m/pulls/5", "https://git.example.com/t/m/pulls/5"},
		{"Merge pull request 'Promote iris' (#5) from ada/v2 into main", "", "#5"},
		{"Merged in ada/v2 (pull request #9)", "Promote iris", "#9"},
		{"Pull request #4: Promote iris", "Merge in ML/models from v2 to main", "#4"},
		{"Merge pull request #12 in ML/models from v2 to main", "", "#12"},
		{"Promote iris (#12)", "text\n\nPull-Request: https://example.com/t/m/pull/12\nSigned-off-by: Ada", "https://example.com/t/m/pull/12"},
		{"Fix #12 in the loader", "see (#3) too", ""},
		{"Merge branch 'v2'", "", ""},
	} {
		if got := pullRequest(c.subject, c.body); got != c.want {
			t.Errorf("%q, %q: %q, want %q", c.subject, c.body, got, c.want)
		}
	}
}

// TestWhoMerged tells the author of the merged branch from who merged it, and the forge from the person who pressed the button.
func TestWhoMerged(t *testing.T) {
	r := newRepo(t)
	first := r.commit("main", "first", iris())
	by := func(author, committer, message string, parents ...string) string {
		in := fmt.Sprintf("commit refs/heads/main\nauthor %s 1767312000 +0000\ncommitter %s 1767312000 +0000\ndata %d\n%s\n", author, committer, len(message), message)
		for i, p := range parents {
			in += []string{"from ", "merge "}[i] + p + "\n"
		}
		r.feed(in, "fast-import", "--quiet", "--force")
		return r.git("rev-parse", "main")
	}
	ada, grace, github := "Ada <ada@example.com>", "Grace <grace@example.com>", "GitHub <noreply@github.com>"
	branch := by(ada, ada, "v2", first)
	h := New(Config{Source: r.open()})
	for _, c := range []struct{ commit, author, committer, merger string }{
		{by(grace, grace, "Merge branch 'v2'", first, branch), "Ada", "Grace", "Grace"},
		{by(grace, github, "Merge pull request #1 from ada/v2", first, branch), "Ada", "Grace", "Grace"},
		{by(ada, github, "Promote iris (#1)", first), "Ada", "GitHub", "GitHub"},
		{branch, "Ada", "Ada", ""},
		{by("Ada Lovelace <Ada@example.com>", "Ada Lovelace <Ada@example.com>", "Merge by another name", first, branch), "Ada", "Ada Lovelace", ""},
		{by("ada <1+ada@users.example.com>", "ada <1+ada@users.example.com>", "Merge by another address", first, branch), "Ada", "ada", ""},
	} {
		w, err := h.Who(t.Context(), c.commit, nil)
		if err != nil || w.Author.Name != c.author || w.Committer.Name != c.committer || w.Merger() != c.merger {
			t.Errorf("%s: by %s, committed by %s, merged by %q, %v; want %s, %s and %q", w.Subject, w.Author.Name, w.Committer.Name, w.Merger(), err, c.author, c.committer, c.merger)
		}
	}
}
