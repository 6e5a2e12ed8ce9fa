package forge

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

func sign(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

const (
	push    = `{"ref":"refs/heads/main","before":"0","after":"1"}`
	merged  = `{"action":"closed","pull_request":{"merged":true,"base":{"ref":"main"}}}`
	closed  = `{"action":"closed","pull_request":{"merged":false,"base":{"ref":"main"}}}`
	labMR   = `{"object_kind":"merge_request","object_attributes":{"action":"merge","target_branch":"main"}}`
	labOpen = `{"object_kind":"merge_request","object_attributes":{"action":"open","target_branch":"main"}}`
)

func TestWebhook(t *testing.T) {
	secrets := [][]byte{nil, []byte("new"), []byte("old")}
	hub, lab := "sha256="+sign("new", push), "old"
	for name, c := range map[string]struct {
		method string
		header map[string]string
		body   string
		none   bool // no secret is configured
		status int
		refs   []string
	}{
		"GitHub push":        {header: map[string]string{"X-GitHub-Event": "push", "X-Hub-Signature-256": hub}, body: push, status: 204, refs: []string{"refs/heads/main"}},
		"GitHub ping":        {header: map[string]string{"X-GitHub-Event": "ping", "X-Hub-Signature-256": sign("new", `{"zen":"x"}`)}, body: `{"zen":"x"}`, status: 204},
		"GitHub merge":       {header: map[string]string{"X-GitHub-Event": "pull_request", "X-Hub-Signature-256": sign("new", merged)}, body: merged, status: 204, refs: []string{"refs/heads/main"}},
		"GitHub close":       {header: map[string]string{"X-GitHub-Event": "pull_request", "X-Hub-Signature-256": sign("new", closed)}, body: closed, status: 204},
		"GitHub form":        {header: map[string]string{"X-GitHub-Event": "push", "Content-Type": "application/x-www-form-urlencoded", "X-Hub-Signature-256": sign("new", "payload="+url.QueryEscape(push))}, body: "payload=" + url.QueryEscape(push), status: 204, refs: []string{"refs/heads/main"}},
		"GitHub SHA-1":       {header: map[string]string{"X-GitHub-Event": "push", "X-Hub-Signature": "sha1=" + hub}, body: push, status: 401},
		"Gitea, old secret":  {header: map[string]string{"X-Gitea-Event": "push", "X-Gitea-Signature": sign("old", push)}, body: push, status: 204, refs: []string{"refs/heads/main"}},
		"Forgejo":            {header: map[string]string{"X-Forgejo-Event": "push", "X-Forgejo-Signature": sign("new", push)}, body: push, status: 204, refs: []string{"refs/heads/main"}},
		"GitLab push":        {header: map[string]string{"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": lab}, body: push, status: 204, refs: []string{"refs/heads/main"}},
		"GitLab merge":       {header: map[string]string{"X-Gitlab-Event": "Merge Request Hook", "X-Gitlab-Token": lab}, body: labMR, status: 204, refs: []string{"refs/heads/main"}},
		"GitLab open":        {header: map[string]string{"X-Gitlab-Event": "Merge Request Hook", "X-Gitlab-Token": lab}, body: labOpen, status: 204},
		"GitLab wrong":       {header: map[string]string{"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": "older"}, body: push, status: 401},
		"generic":            {header: map[string]string{"X-Davit-Signature": hub}, body: push, status: 204, refs: []string{"refs/heads/main"}},
		"generic, no body":   {header: map[string]string{"X-Davit-Signature": "sha256=" + sign("new", "")}, status: 204, refs: []string{""}},
		"generic, no JSON":   {header: map[string]string{"X-Davit-Signature": "sha256=" + sign("new", "now")}, body: "now", status: 400},
		"no branch":          {header: map[string]string{"X-Davit-Signature": "sha256=" + sign("new", `{"ref":"refs/notes/davit"}`)}, body: `{"ref":"refs/notes/davit"}`, status: 204, refs: []string{"refs/notes/davit"}},
		"of another body":    {header: map[string]string{"X-Davit-Signature": hub}, body: merged, status: 401},
		"of an empty secret": {header: map[string]string{"X-Davit-Signature": sign("", push)}, body: push, status: 401},
		"an empty token":     {header: map[string]string{"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": ""}, body: push, status: 401},
		"not signed":         {header: map[string]string{"X-GitHub-Event": "push"}, body: push, status: 401},
		"not signed, large":  {body: strings.Repeat("x", maxBody+1), status: 401},
		"too large":          {header: map[string]string{"X-Davit-Signature": hub}, body: strings.Repeat("x", maxBody+1), status: 413},
		"unsigned nonsense":  {header: map[string]string{"X-Davit-Signature": hub}, body: "{", status: 401}, // not 400: it was not parsed
		"no secret":          {header: map[string]string{"X-Davit-Signature": hub}, body: push, none: true, status: 401},
		"GET":                {method: http.MethodGet, header: map[string]string{"X-Davit-Signature": hub}, status: 405},
	} {
		t.Run(name, func(t *testing.T) {
			var refs []string
			cfg := WebhookConfig{
				Secret: func() [][]byte { return secrets }, Pushed: func(ref string) { refs = append(refs, ref) }, Log: logTo(t),
			}
			if c.none {
				cfg.Secret = nil
			}
			method := c.method
			if method == "" {
				method = http.MethodPost
			}
			req := httptest.NewRequest(method, "/", strings.NewReader(c.body))
			for k, v := range c.header {
				req.Header.Set(k, v)
			}
			rec := httptest.NewRecorder()
			Webhook(cfg).ServeHTTP(rec, req)
			if rec.Code != c.status || !slices.Equal(refs, c.refs) || rec.Body.Len() > 0 {
				t.Errorf("%d %q, told %q; want %d, %q", rec.Code, rec.Body, refs, c.status, c.refs)
			}
		})
	}
}

// testWebhook has Gitea deliver its own webhooks.
func testWebhook(t *testing.T, w *world) {
	pushed, answered := make(chan string, 100), make(chan int, 100)
	handler := Webhook(WebhookConfig{
		Secret: func() [][]byte { return [][]byte{[]byte("the new one"), []byte("the old one")} },
		Pushed: func(ref string) { pushed <- ref },
		Log:    logTo(t),
	})
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, r)
		rw.WriteHeader(rec.Code)
		answered <- rec.Code
	}))
	t.Cleanup(server.Close)
	var hook struct {
		ID int `json:"id"`
	}
	install := func(secret string) {
		w.api(http.MethodPost, w.repo("hooks"), map[string]any{
			"type": "gitea", "active": true, "events": []string{"push", "pull_request", "issues"},
			"config": map[string]string{"url": server.URL, "content_type": "json", "secret": secret},
		}, http.StatusCreated, &hook)
	}
	install("the old one")
	answers := func(want int) {
		t.Helper()
		select {
		case got := <-answered:
			if got != want {
				t.Errorf("answered %d, want %d", got, want)
			}
		case <-time.After(2 * time.Minute):
			t.Fatal("nothing was delivered")
		}
	}
	told := func(want ...string) {
		t.Helper()
		var got []string
		for len(pushed) > 0 {
			got = append(got, <-pushed)
		}
		if !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	}

	w.commit("one")
	w.git("push", "-q", "origin", "main")
	answers(http.StatusNoContent)
	told("refs/heads/main")
	w.branch("davit/own", 1)
	answers(http.StatusNoContent)
	told("refs/heads/davit/own")
	w.api(http.MethodPost, w.repo("issues"), map[string]any{"title": "an event of no interest"}, http.StatusCreated, nil)
	answers(http.StatusNoContent)
	told()

	pr, err := w.open().Propose(t.Context(), PullRequest{Branch: "davit/own", Title: "own"})
	if err != nil {
		t.Fatal(err)
	}
	answers(http.StatusNoContent) // it was opened
	told()
	w.merge(pr.Number, "merge")
	answers(http.StatusNoContent) // its merge and the push of it, in any order
	answers(http.StatusNoContent)
	told("refs/heads/main", "refs/heads/main")

	w.api(http.MethodDelete, w.repo("hooks/%d", hook.ID), nil, http.StatusNoContent, nil)
	install("a wrong one")
	w.git("checkout", "-q", "-B", "main", "origin/main")
	w.git("pull", "-q", "origin", "main")
	w.commit("two")
	w.git("push", "-q", "origin", "main")
	answers(http.StatusUnauthorized)
	told()
}

// TestWebhookByHand runs the command of Webhook's documentation.
func TestWebhookByHand(t *testing.T) {
	for _, tool := range []string{"openssl", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the documented command needs %s, which is not installed: %v", tool, err)
		}
	}
	told := make(chan string, 1)
	server := httptest.NewServer(Webhook(WebhookConfig{
		Secret: func() [][]byte { return [][]byte{[]byte("pl4nted-webhook")} }, Pushed: func(ref string) { told <- ref }, Log: logTo(t),
	}))
	t.Cleanup(server.Close)
	cmd := exec.Command("sh", "-c", `body='{"ref":"refs/heads/main"}'
signature=$(printf %s "$body" | openssl dgst -sha256 -hmac "$SECRET" -r | cut -d' ' -f1)
curl -sf -d "$body" -H "X-Davit-Signature: sha256=$signature" "$URL"`)
	cmd.Env = append(cmd.Environ(), "SECRET=pl4nted-webhook", "URL="+server.URL, "NO_PROXY=*")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if ref := <-told; ref != "refs/heads/main" {
		t.Errorf("told %q", ref)
	}
}

// FuzzWebhook looks for a delivery that does something without the secret, and for a crash with it.
func FuzzWebhook(f *testing.F) {
	f.Add("push", "", "application/json", []byte(push), true)
	f.Add("pull_request", "", "application/json", []byte(merged), true)
	f.Add("", "Merge Request Hook", "application/x-www-form-urlencoded", []byte("payload="+labMR), true)
	f.Add("push", "", "", []byte(push), false)
	f.Fuzz(func(t *testing.T, hub, lab, content string, body []byte, signed bool) {
		told := 0
		handler := Webhook(WebhookConfig{
			Secret: func() [][]byte { return [][]byte{[]byte("pl4nted-webhook")} },
			Pushed: func(string) { told++ },
			Log:    logTo(t),
		})
		req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(body)))
		req.Header.Set("X-GitHub-Event", hub)
		req.Header.Set("X-Gitlab-Event", lab)
		req.Header.Set("Content-Type", content)
		// Without the secret the best is a signature by another one.
		secret := map[bool]string{true: "pl4nted-webhook", false: "guess"}[signed]
		req.Header.Set("X-Hub-Signature-256", "sha256="+sign(secret, string(body)))
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, req)
		switch {
		case !signed && (told > 0 || rec.Code != http.StatusUnauthorized):
			t.Errorf("unsigned: %d, told %d times", rec.Code, told)
		case signed && rec.Code != http.StatusNoContent && rec.Code != http.StatusBadRequest:
			t.Errorf("signed: %d", rec.Code)
		case rec.Code != http.StatusNoContent && told > 0:
			t.Errorf("told although answered %d", rec.Code)
		}
	})
}
