package gitops

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// FuzzLFSConfig: whatever a commit's .lfsconfig says, credentials go to the repository's own host and nowhere else.
func FuzzLFSConfig(f *testing.F) {
	f.Add("https://ada:secret@git.example.com/ml/models.git", []byte("[lfs]\n\turl = https://git.example.com/lfs\n"))
	f.Add("git@git.example.com:ml/models.git", []byte("[lfs]\nurl = https://elsewhere.example.com/\n"))
	f.Add("ssh://git@[::1]:2222/ml/models", []byte("[lfs \"x\"]\nurl=a\n[lfs]\nurl = \"http://[::1]/\\\"\"\n"))
	f.Fuzz(func(t *testing.T, remote string, lfsconfig []byte) {
		own := discoverLFS(remote)
		if own != nil {
			again, err := url.Parse(own.String())
			if err != nil || again.Host != own.Host || own.Host == "" || own.Scheme != "http" && own.Scheme != "https" || !strings.HasSuffix(own.Path, ".git/info/lfs") {
				t.Errorf("%q has its LFS server at %s: %v", remote, own.Redacted(), err)
			}
		}
		server, err := namedLFS(own, lfsconfig)
		if err != nil || server == own {
			return
		}
		if own == nil || server.Hostname() != own.Hostname() || server.Scheme != "http" && server.Scheme != "https" {
			t.Fatalf("%q with %q is led to %s", remote, lfsconfig, server.Redacted())
		}
		if server.User != nil && (server.Host != own.Host || server.Scheme != own.Scheme) {
			t.Errorf("%q with %q sends credentials to %s", remote, lfsconfig, server.Redacted())
		}
	})
}

// FuzzLFSAnswer: what a host answers is gone by for a bounded time, leads to http and https alone, and its errors hold
// nothing of it.
func FuzzLFSAnswer(f *testing.F) {
	f.Add([]byte(`{"href":"https://lfs.example.com/x","header":{"Authorization":"RemoteAuth x"},"expires_in":60}`))
	f.Add([]byte(`{"href":"ssh://lfs.example.com","expires_at":"0001-01-02T00:00:00Z"}`))
	f.Add([]byte(`{"expires_in":-9223372036854775808,"header":{"a b":"c\nd"}}`))
	f.Fuzz(func(t *testing.T, out []byte) {
		var answer lfsAnswer
		if json.Unmarshal(out, &answer) == nil {
			if now := time.Now(); answer.until(now).After(now.Add(lfsKept)) {
				t.Errorf("gone by until %s", answer.until(now))
			}
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://git.example.com/m.git/info/lfs/objects/batch", nil)
		if err != nil {
			t.Fatal(err)
		}
		asked := func(context.Context, string) ([]byte, error) { return out, nil }
		sent, err := (&lfsSSH{}).authorize(req, "git@git.example.com:m.git", asked)
		if err != nil {
			if len(answer.Href) > 20 && strings.Contains(err.Error(), answer.Href) {
				t.Error(err)
			}
			return
		}
		if sent.URL.Host == "" || sent.URL.Scheme != "http" && sent.URL.Scheme != "https" {
			t.Errorf("sent to %s", sent.URL)
		}
	})
}
