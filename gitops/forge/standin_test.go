package forge

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// standIn answers as GitHub's or GitLab's documentation shows, because neither can run here: it proves that requests
// and answers are understood as documented, not that the forges still do so. Gitea is tested for real.
type standIn struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string][]answer // by method and path with query; the last is repeated
	got     []string            // writes: method, path, body
	tokens  []string
}

type answer struct {
	status int
	body   string
	header map[string]string
}

func newStandIn(t *testing.T, answers map[string][]answer) *standIn {
	s := &standIn{answers: answers}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = append(s.tokens, r.Header.Get("Authorization"))
	body, _ := io.ReadAll(r.Body)
	key := r.Method + " " + r.RequestURI
	if r.Method != http.MethodGet {
		s.got = append(s.got, strings.TrimSpace(key+" "+string(body)))
	}
	list := s.answers[key]
	if len(list) == 0 {
		http.Error(w, `{"message":"not in the script: `+key+`"}`, http.StatusNotImplemented)
		return
	}
	if len(list) > 1 {
		s.answers[key] = list[1:]
	}
	for k, v := range list[0].header {
		w.Header().Set(k, strings.ReplaceAll(v, "SELF", s.URL))
	}
	w.WriteHeader(list[0].status)
	io.WriteString(w, list[0].body)
}

// wrote checks what was written since the last call.
func (s *standIn) wrote(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(s.got, want) {
		t.Errorf("wrote\n%s\nwant\n%s", strings.Join(s.got, "\n"), strings.Join(want, "\n"))
	}
	s.got = nil
}

func (s *standIn) open(t *testing.T, kind string) *Forge {
	t.Helper()
	f, err := New(Config{
		Kind: kind, URL: s.URL, Repository: "git@git.example.com:acme/ml/models.git", Branch: "main", Log: logTo(t),
		Token: func(context.Context) (string, error) { return "pl4nted-forge", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func ok(body string) []answer { return []answer{{status: 200, body: body}} }

const (
	commitA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	commitB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// hubPull is a pull request as https://docs.github.com/en/rest/pulls/pulls shows it, shortened.
func hubPull(number int, branch string, repo int, merged string) string {
	state, at := "open", "null"
	if merged != "" {
		state, at = "closed", `"2025-01-01T00:00:00Z"`
	}
	return fmt.Sprintf(`{"number":%[1]d,"state":"%[2]s","title":"old","body":null,"html_url":"https://github.com/acme/models/pull/%[1]d",
"user":{"login":"davit[bot]","type":"Bot"},"head":{"ref":"%[3]s","sha":"%[4]s","repo":{"id":%[5]d,"full_name":"x/models"}},
"base":{"ref":"main","sha":"%[4]s","repo":{"id":1,"full_name":"acme/models"}},"merged_at":%[6]s,"merge_commit_sha":"%[7]s",
"created_at":"2025-01-01T00:00:00Z","updated_at":"2025-01-01T00:00:00Z","labels":[]}`, number, state, branch, strings.Repeat("c", 40), repo, at, merged)
}

func TestGitHub(t *testing.T) {
	const (
		api  = "/api/v3/repos/acme/ml/models/" // a path this long is GitLab's; GitHub's driver takes it as it is
		list = "GET " + api + "pulls?page=1&per_page=100"
		next = "GET " + api + "pulls?page=2&per_page=100"
	)
	s := newStandIn(t, map[string][]answer{
		list: {
			{status: 200, body: `[]`},
			{status: 200, body: "[" + hubPull(5, "davit/revert", 2, "") + "]", header: map[string]string{"Link": `<SELF/x?page=2>; rel="next", <SELF/x?page=2>; rel="last"`}},
		},
		next: ok("[" + hubPull(7, "davit/revert", 1, "") + "," + hubPull(8, "davit/x", 1, "") + "]"),
		"POST " + api + "pulls": {{status: 422, body: `{"message":"Validation Failed","errors":[{"resource":"PullRequest",
			"code":"custom","message":"A pull request already exists for acme:davit/revert."}]}`}},
		"GET " + api + "pulls/7":              ok(hubPull(7, "davit/revert", 1, "")),
		"GET " + api + "pulls/8":              ok(hubPull(8, "davit/x", 1, "")),
		"GET " + api + "pulls/5":              ok(hubPull(5, "davit/revert", 2, "")),
		"GET " + api + "pulls/12":             ok(hubPull(12, "topic", 2, commitA)),
		"PATCH " + api + "pulls/7":            ok(`{}`),
		"PATCH " + api + "issues/comments/21": ok(`{}`),
		"POST " + api + "issues/7/comments":   {{status: 201, body: `{"id":30}`}},
		"POST " + api + "statuses/" + commitA: {{status: 201, body: `{}`}},

		"GET /api/v3/user": {{status: 403, body: `{"message":"Resource not accessible by integration"}`}},
		"GET " + api + "issues/7/comments?page=1&per_page=100": ok(`[{"id":20,"body":"x\n\n<!-- davit:closed -->","user":{"id":1,"login":"mallory"}},
			{"id":25,"body":"x\n\n<!-- davit:closed -->","user":{"id":2,"login":"davit[bot]"}},
			{"id":21,"body":"x\r\n\r\n<!-- davit:closed -->","user":{"id":2,"login":"davit[bot]"}},
			{"id":26,"body":"x\n\n<!-- davit:closed -->","user":{"id":2,"login":"davit[bot]"}}]`),
		"GET " + api + "commits/" + commitA + "/status?per_page=100&limit=100": ok(`{"state":"pending","statuses":[
			{"context":"davit/staging","state":"success","description":"healthy","target_url":null},
			{"context":"davit/production","state":"pending","description":"rolling out","target_url":"https://x"}],"total_count":2}`),
		"GET " + api + "commits/" + commitA + "/pulls": {
			{status: 200, body: "[" + hubPull(12, "topic", 2, commitA) + "]"}, {status: 200, body: `[]`},
		},
		"GET " + api + "commits/" + commitB + "/pulls": {
			{status: 200, body: `[]`}, {status: 422, body: `{"message":"No commit found for SHA: bbbb"}`},
		},
	})
	f, ctx := s.open(t, GitHub), t.Context()

	pr, err := f.Propose(ctx, PullRequest{Branch: "davit/revert", Title: "Revert iris", Body: "because"})
	if err != nil || pr.Number != 7 || pr.Title != "Revert iris" {
		t.Errorf("%+v, %v", pr, err)
	}
	s.wrote(t, "POST "+api+`pulls {"base":"main","body":"because","head":"davit/revert","title":"Revert iris"}`,
		"PATCH "+api+`pulls/7 {"body":"because","title":"Revert iris"}`)

	if err := f.Close(ctx, 7, "superseded"); err != nil {
		t.Error(err)
	}
	s.wrote(t, "PATCH "+api+`issues/comments/21 {"body":"superseded\n\n\u003c!-- davit:closed --\u003e"}`, "PATCH "+api+`pulls/7 {"state":"closed"}`)

	production := Status{Context: "davit/production", State: Pending, Description: "rolling out", URL: "https://x"}
	for range 2 {
		for _, st := range []Status{production, {Context: "davit/staging", State: Success, Description: "healthy"}} {
			if err := f.Status(ctx, commitA, st); err != nil {
				t.Error(err)
			}
		}
		s.wrote(t)
	}
	production.State = Errored
	if err := f.Status(ctx, commitA, production); err != nil {
		t.Error(err)
	}
	s.wrote(t, "POST "+api+"statuses/"+commitA+` {"context":"davit/production","description":"rolling out","state":"error","target_url":"https://x"}`)

	for n, c := range []struct {
		commit, message string
		want            int
	}{
		{commitA, "", 12},
		{commitA, "Merge pull request #12 from acme/topic", 12}, // the forge does not know the commit, but its pull request
		{commitB, "Merge pull request #12 from acme/topic", 0},  // merged as another commit
		{commitB, "Promote (#7)", 0},                            // open
	} {
		pr, found, err := f.Merged(ctx, c.commit, c.message)
		if err != nil || pr.Number != c.want || found != (c.want > 0) {
			t.Errorf("%d: %+v, %t, %v", n, pr, found, err)
		}
	}
	for _, token := range s.tokens {
		if token != "Bearer pl4nted-forge" {
			t.Errorf("authorization %q", token)
		}
	}
}

// labPull is a merge request as https://docs.gitlab.com/api/merge_requests/ shows it, shortened.
func labPull(number int, branch string, source int, squash string) string {
	state := "opened"
	if squash != "" {
		state = "merged"
	}
	return fmt.Sprintf(`{"id":1%[1]d,"iid":%[1]d,"project_id":3,"title":"old","description":null,"state":"%[2]s","source_branch":"%[3]s",
"target_branch":"main","author":{"id":1,"username":"davit"},"source_project_id":%[4]d,"target_project_id":3,"sha":"%[5]s",
"merge_commit_sha":null,"squash_commit_sha":%[6]s,"web_url":"https://gitlab.com/acme/ml/models/-/merge_requests/%[1]d",
"created_at":"2025-01-01T00:00:00.000Z","updated_at":"2025-01-01T00:00:00.000Z","labels":[]}`,
		number, state, branch, source, strings.Repeat("c", 40), map[bool]string{true: "null", false: strconv.Quote(squash)}[squash == ""])
}

func TestGitLab(t *testing.T) {
	const (
		api   = "/api/v4/projects/acme%2Fml%2Fmodels/"
		list  = "GET " + api + "merge_requests?page=1&per_page=100&state=opened"
		notes = "merge_requests/7/notes"
	)
	s := newStandIn(t, map[string][]answer{
		list: {
			{status: 200, body: `[]`},
			{status: 200, body: "[" + labPull(8, "davit/revert", 3, "") + "," + labPull(7, "davit/revert", 3, "") + "," + labPull(6, "davit/revert", 4, "") + "]"},
		},
		"POST " + api + "merge_requests":      {{status: 201, body: labPull(8, "davit/revert", 3, "")}}, // 7 was first
		"GET " + api + "merge_requests/6":     ok(labPull(6, "davit/revert", 4, "")),
		"GET " + api + "merge_requests/7":     ok(labPull(7, "davit/revert", 3, "")),
		"GET " + api + "merge_requests/8":     ok(labPull(8, "davit/revert", 3, "")),
		"GET " + api + "merge_requests/12":    ok(labPull(12, "topic", 4, commitA)),
		"PUT " + api + "merge_requests/7":     ok(`{}`),
		"PUT " + api + "merge_requests/8":     ok(`{}`),
		"POST " + api + notes:                 {{status: 201, body: `{"id":30}`}},
		"PUT " + api + notes + "/31":          ok(`{}`),
		"POST " + api + "statuses/" + commitA: {{status: 400, body: `{"message":"Cannot transition status via :enqueue from :pending (Reason(s): Status cannot transition via \"enqueue\")"}`}, {status: 201, body: `{}`}},
		"GET /api/v4/user":                    ok(`{"id":1,"username":"davit"}`),

		"POST " + api + "merge_requests/8/notes":                                  {{status: 201, body: `{"id":31}`}},
		"GET " + api + "merge_requests/8/notes?page=1&per_page=100":               ok(`[]`),
		"GET " + api + notes + "?page=1&per_page=100":                             ok(`[{"id":31,"body":"x\n\n<!-- davit:production -->","author":{"id":1,"username":"davit"},"system":false}]`),
		"GET " + api + "repository/commits/" + commitA + "/statuses?per_page=100": ok(`[{"id":1,"name":"davit/staging","status":"failed","description":"crashed","target_url":null}]`),
		"GET " + api + "repository/commits/" + commitA + "/merge_requests": {
			{status: 200, body: "[" + labPull(7, "x", 3, "") + "," + labPull(12, "topic", 4, commitA) + "]"}, {status: 404, body: `{"message":"404 Commit Not Found"}`},
		},
	})
	f, ctx := s.open(t, GitLab), t.Context()

	pr, err := f.Propose(ctx, PullRequest{Branch: "davit/revert", Title: "old"})
	if err != nil || pr.Number != 7 {
		t.Errorf("%+v, %v", pr, err)
	}
	s.wrote(t, "POST "+api+`merge_requests {"description":"","source_branch":"davit/revert","target_branch":"main","title":"old"}`,
		"POST "+api+`merge_requests/8/notes {"body":"The same as https://gitlab.com/acme/ml/models/-/merge_requests/7, proposed twice at once.\n\n\u003c!-- davit:closed --\u003e"}`,
		"PUT "+api+`merge_requests/8 {"state_event":"close"}`)

	if err := f.Comment(ctx, 7, "production", "healthy"); err != nil {
		t.Error(err)
	}
	s.wrote(t, "PUT "+api+notes+`/31 {"body":"healthy\n\n\u003c!-- davit:production --\u003e"}`)

	for n, c := range []struct {
		status Status
		sent   string
	}{
		{Status{Context: "davit/staging", State: Errored, Description: "crashed"}, ""}, // it has failed for both
		{Status{Context: "davit/production", State: Pending, Description: "x"}, "pending"},
		{Status{Context: "davit/production", State: Failure, Description: "x"}, "failed"},
	} {
		if err := f.Status(ctx, commitA, c.status); err != nil {
			t.Errorf("%d: %v", n, err)
		}
		if c.sent == "" {
			s.wrote(t)
		} else {
			s.wrote(t, "POST "+api+"statuses/"+commitA+` {"description":"x","name":"davit/production","state":"`+c.sent+`","target_url":""}`)
		}
	}
	for n, message := range []string{"", "Merge branch 'topic'\n\nSee merge request acme/ml/models!12"} {
		if pr, found, err := f.Merged(ctx, commitA, message); err != nil || !found || pr.Number != 12 {
			t.Errorf("%d: %+v, %t, %v", n, pr, found, err)
		}
	}
}

func TestErrors(t *testing.T) {
	in := func(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).Unix(), 10) }
	for name, c := range map[string]struct {
		answer
		least, most time.Duration
		text        string
	}{
		"primary limit":   {answer{403, `{"message":"API rate limit exceeded"}`, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": in(10 * time.Minute)}}, 5 * time.Minute, 10 * time.Minute, "rate limit"},
		"secondary limit": {answer{403, `{"message":"You have exceeded a secondary rate limit"}`, nil}, time.Minute, time.Minute, "secondary"},
		"Retry-After":     {answer{429, ``, map[string]string{"Retry-After": "7"}}, 7 * time.Second, 7 * time.Second, "429 Too Many Requests"},
		"RateLimit-Reset": {answer{429, ``, map[string]string{"RateLimit-Reset": in(10 * time.Minute)}}, 5 * time.Minute, 10 * time.Minute, "429"},
		"nonsense":        {answer{429, ``, map[string]string{"Retry-After": "99999999999"}}, time.Minute, time.Hour, "429"},
		"down":            {answer{502, `<html>bad gateway`, nil}, 30 * time.Second, 30 * time.Second, "502 Bad Gateway"},
		"maintenance":     {answer{503, ``, map[string]string{"Retry-After": time.Now().Add(5 * time.Minute).UTC().Format(http.TimeFormat)}}, 2 * time.Minute, 5 * time.Minute, "503"},
		"no right":        {answer{403, `{"message":"Resource not accessible by integration"}`, nil}, 0, 0, "check the token and what it may do"},
		"an echo":         {answer{401, `{"message":"Bearer pl4nted-forge is expired"}`, nil}, 0, 0, "Bearer REDACTED is expired"},
		"lists":           {answer{400, `{"message":{"base":["is invalid"]},"errors":[{"message":"one"},"two"]}`, nil}, 0, 0, "base is invalid: one: two"},
	} {
		s := newStandIn(t, map[string][]answer{"GET /api/v3/repos/acme/ml/models/pulls/1": {c.answer}})
		_, err := s.open(t, GitHub).Find(t.Context(), 1)
		e, ok := asError(err)
		if !ok || e.Status != c.status || e.RetryAfter < c.least || e.RetryAfter > c.most || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "pl4nted") {
			t.Errorf("%s: %v (%+v)", name, err, e)
		}
	}

	s := newStandIn(t, nil)
	f := s.open(t, GitHub)
	s.Close()
	if e, ok := asError(f.Close(t.Context(), 1, "")); !ok || e.Status != 0 || e.RetryAfter != 30*time.Second {
		t.Errorf("silence: %v", e)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Find(ctx, 1); err == nil {
		t.Error("found without a context")
	} else if _, ok := asError(err); ok {
		t.Errorf("the caller's own end looks like the forge's: %v", err)
	}
}

// TestRedirect lets a forge send davit elsewhere: never with the token, and never with a write that became a read.
func TestRedirect(t *testing.T) {
	elsewhere := newStandIn(t, map[string][]answer{})
	const from, to = "/api/v3/repos/acme/ml/models/", "/api/v3/repositories/1/"
	s := newStandIn(t, map[string][]answer{
		"GET " + from + "pulls/1":              {{301, "", map[string]string{"Location": "SELF" + to + "pulls/1"}}},
		"GET " + to + "pulls/1":                ok(hubPull(1, "x", 1, "")),
		"GET " + from + "pulls/2":              {{302, "", map[string]string{"Location": elsewhere.URL + "/x"}}},
		"POST " + from + "statuses/" + commitA: {{301, "", map[string]string{"Location": "SELF" + to + "statuses/" + commitA}}},
		"GET " + to + "statuses/" + commitA:    ok(`[]`),

		"GET " + from + "commits/" + commitA + "/status?per_page=100&limit=100": ok(`{"statuses":[]}`),
	})
	f := s.open(t, GitHub)
	if pr, err := f.Find(t.Context(), 1); err != nil || pr.Number != 1 {
		t.Errorf("a renamed repository: %+v, %v", pr, err)
	}
	if _, err := f.Find(t.Context(), 2); err == nil || !strings.Contains(err.Error(), "redirects to "+elsewhere.URL) {
		t.Errorf("another host: %v", err)
	}
	if len(elsewhere.tokens) > 0 {
		t.Errorf("another host was asked with %q", elsewhere.tokens)
	}
	if err := f.Status(t.Context(), commitA, Status{Context: "x", State: Success}); err == nil || !strings.Contains(err.Error(), "redirects to another path") {
		t.Errorf("a write: %v", err)
	}
}
