package forge

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

const planted = "pl4nted-s3cret"

// FuzzSignature: a delivery counts by its secret, in whichever header a forge sends it, and by nothing else.
func FuzzSignature(f *testing.F) {
	for i := range len(signatureHeaders) {
		f.Add(i, "sha256=", []byte(push), "")
	}
	f.Add(0, "", []byte{}, "pl4nted-webhook")
	f.Add(0, "", []byte{}, "")
	f.Fuzz(func(t *testing.T, i int, prefix string, body []byte, token string) {
		secret := []byte("pl4nted-webhook")
		header := http.Header{"X-Gitlab-Token": {token}}
		p := proofOf(header)
		if known := p != nil && p.by([][]byte{secret, nil}, body); known != (token == string(secret)) {
			t.Errorf("token %q counts: %v", token, known)
		}
		name := signatureHeaders[uint(i)%uint(len(signatureHeaders))]
		header = http.Header{}
		header.Set(name, prefix+sign("another", string(body)))
		if p := proofOf(header); p != nil && p.by([][]byte{secret, nil}, body) {
			t.Errorf("%s by another secret counts", name)
		}
		header.Set(name, "sha256="+sign(string(secret), string(body)))
		if p := proofOf(header); p == nil || !p.by([][]byte{nil, secret}, body) {
			t.Errorf("%s does not count", name)
		} else if p.by([][]byte{secret}, append(body, 'x')) {
			t.Errorf("%s counts for another body", name)
		}
	})
}

// FuzzDelivery: of each forge's events, a push and a merge tell a ref, and nothing else does.
func FuzzDelivery(f *testing.F) {
	for _, name := range []string{"X-Forgejo-Event", "X-Gitea-Event", "X-GitHub-Event", "X-Gitlab-Event", "X-Other"} {
		f.Add(name, "push", "application/json", []byte(push))
		f.Add(name, "pull_request", "application/json", []byte(merged))
		f.Add(name, "Merge Request Hook", "application/x-www-form-urlencoded", []byte("payload="+url.QueryEscape(labMR)))
		f.Add(name, "ping", "", []byte("{"))
	}
	f.Fuzz(func(t *testing.T, name, event, content string, body []byte) {
		header := http.Header{}
		header.Set(name, event)
		header.Set("Content-Type", content)
		ref, interesting, err := refOf(header, body)
		switch {
		case err != nil && interesting && eventOf(header) != "pull_request" && eventOf(header) != "Merge Request Hook":
			t.Errorf("%q and %v", ref, err)
		case !interesting:
		case eventOf(header) == "pull_request", eventOf(header) == "Merge Request Hook":
			if !strings.HasPrefix(ref, "refs/heads/") {
				t.Errorf("merged into %q", ref)
			}
		}
		other := header.Clone()
		other.Set(name, "issues")
		if eventOf(other) == "issues" {
			if ref, interesting, err := refOf(other, body); ref != "" || interesting || err != nil {
				t.Errorf("an issue tells %q, %v", ref, err)
			}
		}
	})
}

// FuzzRefusal: whatever a forge answers with, the text is one line of bounded length, and it is asked again in bounded time.
func FuzzRefusal(f *testing.F) {
	f.Add(403, "60", "", []byte(`{"message":"rate limit","errors":[{"message":"x"}]}`))
	f.Add(429, "", "1790000000", []byte(`{"message":{"base":["a","b"]},"error":"c\nd"}`))
	f.Add(500, "99999999999", "-1", []byte("<html>"))
	f.Add(429, "-9223372036854775808", "9223372036854775807", []byte(`[1]`))
	f.Fuzz(func(t *testing.T, status int, after, reset string, body []byte) {
		rec := httptest.NewRecorder()
		rec.Header()["Retry-After"], rec.Header()["X-Ratelimit-Reset"] = []string{after}, []string{reset}
		res := rec.Result()
		res.StatusCode = status
		e := refusal(res, body)
		if e.RetryAfter != 0 && (e.RetryAfter < time.Second || e.RetryAfter > longest) {
			t.Errorf("asked again in %s", e.RetryAfter)
		}
		if utf8.RuneCountInString(e.text) > 300 || strings.ContainsAny(e.text, "\n\r\t") {
			t.Errorf("says %q", e.text)
		}
		if wait(after, reset, outage) == time.Second && len(after) > 4 && strings.Trim(after, "0123456789") == "" && after[0] != '0' {
			t.Errorf("after %s s, asked in one", after)
		}
	})
}

// FuzzLocate: a clone URL's place is a forge without credentials, and a path that means nothing else in an API's.
func FuzzLocate(f *testing.F) {
	f.Add("https://ada:"+planted+"@git.example.com/ml/models.git", "")
	f.Add("git@git.example.com:ml/models.git", "https://forge.example.com/git")
	f.Add("ssh://git:"+planted+"@altssh.gitlab.com:443/a/b/c", "")
	f.Add("https://"+planted+"@[::1]:3000/ml/%6dodels", "http://x")
	f.Fuzz(func(t *testing.T, repository, base string) {
		if scheme, _, _ := strings.Cut(strings.ToLower(repository), "://"); strings.Contains(scheme, planted) {
			return // no scheme is a secret
		}
		at, err := locate(repository, base)
		if err != nil {
			if clone, bad := parseClone(repository); strings.Contains(err.Error(), planted) && (bad != nil || !strings.Contains(clone.Host, planted)) {
				t.Error(err)
			}
			return
		}
		if at.url.User != nil || at.url.Scheme != "http" && at.url.Scheme != "https" || at.url.Host == "" {
			t.Errorf("%q is at %s", repository, at.url)
		}
		if !repoName.MatchString(at.repo) || strings.Contains("/"+at.repo+"/", "/../") || strings.ContainsAny(at.repo, "?#%") {
			t.Errorf("%q is %q", repository, at.repo)
		}
		if again, err := url.Parse(at.url.String()); err != nil || again.Host != at.url.Host {
			t.Errorf("%q is at %s: %v", repository, at.url, err)
		}
		if base == "" {
			again, err := locate(at.url.JoinPath(at.repo).String(), "")
			if err != nil || again.repo != at.repo && again.repo+".git" != at.repo || again.url.Host != at.url.Host {
				t.Errorf("%q is %s of %s, and that %s, %v", repository, at.repo, at.url, again.repo, err)
			}
		}
	})
}

// FuzzNumber: the number in a commit's message is positive and stands there.
func FuzzNumber(f *testing.F) {
	f.Add("Merge pull request #12 from x/y")
	f.Add("Merge pull request 'a' (#7) from b into main\n\nSee merge request g/p!3")
	f.Add("x (#99999999999)")
	f.Add("x\n\nSee merge request g/p!0")
	f.Fuzz(func(t *testing.T, text string) {
		if n := number(text); n < 0 || n > 0 && !strings.Contains(text, strconv.Itoa(n)) {
			t.Errorf("%d", n)
		}
	})
}

// FuzzNumbers reads which pull requests hold a commit out of a list or one of them: each has a number.
func FuzzNumbers(f *testing.F) {
	f.Add([]byte(`[{"number":12},{"iid":7,"number":null}]`))
	f.Add([]byte(`{"number":-1,"merged_at":"x"}`))
	f.Add([]byte(`[null,[]]`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		all, err := numbers(answer)
		if err != nil && all != nil {
			t.Errorf("%v and %v", all, err)
		}
		for _, n := range all {
			if n <= 0 || !strings.Contains(string(answer), strconv.Itoa(n)) {
				t.Errorf("%d in %s", n, answer)
			}
		}
	})
}
