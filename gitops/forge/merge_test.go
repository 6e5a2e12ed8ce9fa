package forge

import (
	"net/http"
	"strings"
	"testing"
)

// TestMergeRequests: GitHub is asked for other ways where it does not allow merge commits, and GitLab for its project's own;
// a refusal for another reason is not tried in another way.
func TestMergeRequests(t *testing.T) {
	m := Merge{Head: commitA, Title: "Promote", Message: "By a rule."}
	const hub, lab = "/api/v3/repos/acme/ml/models/pulls/7", "/api/v4/projects/acme%2Fml%2Fmodels/merge_requests/7"
	s := newStandIn(t, map[string][]answer{
		"GET " + hub: ok(hubPull(7, "davit/x", 1, "")),
		"PUT " + hub + "/merge": {
			{status: 405, body: `{"message":"Merge commits are not allowed on this repository."}`}, {status: 200, body: `{"merged":true}`},
			{status: 409, body: `{"message":"Head branch was modified. Review and try the merge again."}`},
		},
	})
	f := s.open(t, GitHub)
	if err := f.Merge(t.Context(), 7, m); err != nil {
		t.Error(err)
	}
	body := func(method string) string {
		return "PUT " + hub + `/merge {"commit_message":"By a rule.","commit_title":"Promote","merge_method":"` + method + `","sha":"` + commitA + `"}`
	}
	s.wrote(t, body("merge"), body("squash"))
	if err := f.Merge(t.Context(), 7, m); err == nil || !strings.Contains(err.Error(), "409 Conflict: Head branch was modified") {
		t.Error(err)
	}
	s.wrote(t, body("merge"))

	s = newStandIn(t, map[string][]answer{
		"GET " + lab:            ok(labPull(7, "davit/x", 3, "")),
		"PUT " + lab + "/merge": {{status: http.StatusMethodNotAllowed, body: `{"message":"405 Method Not Allowed"}`}},
	})
	if err := s.open(t, GitLab).Merge(t.Context(), 7, m); err == nil || !strings.Contains(err.Error(), "405 Method Not Allowed") {
		t.Error(err)
	}
	s.wrote(t, "PUT "+lab+`/merge {"merge_commit_message":"Promote\n\nBy a rule.","sha":"`+commitA+`","squash_commit_message":"Promote\n\nBy a rule."}`)
}
