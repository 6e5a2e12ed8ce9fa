package gitops

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestLFSServer(t *testing.T) {
	for remote, want := range map[string]string{
		"https://git.example.com/models":            "https://git.example.com/models.git/info/lfs",
		"https://ada:pw@git.example.com/models.git": "https://ada:pw@git.example.com/models.git/info/lfs",
		"git@git.example.com:team/models.git":       "https://git.example.com/team/models.git/info/lfs",
		"ssh://git@git.example.com:2222/models/":    "https://git.example.com/models.git/info/lfs",
		"git.example.com:models":                    "https://git.example.com/models.git/info/lfs",
		"/srv/models":                               "",
		"file:///srv/models":                        "",
		"git://git.example.com/models":              "",
		"":                                          "",
	} {
		got := ""
		if u := discoverLFS(remote); u != nil {
			got = u.String()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}

// TestLFSConfig: what a commit says of the LFS server counts as far as it stays at the repository's host.
func TestLFSConfig(t *testing.T) {
	for what, c := range map[string]struct{ remote, lfsconfig, own, want, err string }{
		"nothing said":   {remote: "https://ada:pw@git.example.com/models", want: "https://ada:pw@git.example.com/models.git/info/lfs"},
		"the same host":  {remote: "https://ada:pw@git.example.com/models", lfsconfig: "https://git.example.com/lfs", want: "https://ada:pw@git.example.com/lfs"},
		"another port":   {remote: "https://ada:pw@git.example.com/models", lfsconfig: "https://git.example.com:8443/lfs", want: "https://git.example.com:8443/lfs"},
		"in clear":       {remote: "https://ada:pw@git.example.com/models", lfsconfig: "http://git.example.com/lfs", want: "http://git.example.com/lfs"},
		"by ssh":         {remote: "git@git.example.com:models", lfsconfig: "https://git.example.com/lfs", want: "https://git.example.com/lfs"},
		"another host":   {remote: "https://ada:pw@git.example.com/models", lfsconfig: "https://evil.example.com/lfs", err: "lfs.url is at evil.example.com, which is not the repository's host"},
		"with a user":    {remote: "https://git.example.com/models", lfsconfig: "https://a:b@git.example.com/lfs", err: "without credentials"},
		"a file":         {remote: "https://git.example.com/models", lfsconfig: "file:///etc", err: "not an http or https address"},
		"no remote":      {lfsconfig: "https://evil.example.com/lfs", err: "not the repository's host"},
		"the user's own": {remote: "https://git.example.com/models", lfsconfig: "https://evil.example.com/lfs", own: "https://lfs.example.com/", want: "https://lfs.example.com/"},
	} {
		r := newRepo(t)
		if c.remote != "" {
			r.git("remote", "add", "origin", c.remote)
		}
		if c.own != "" {
			r.git("config", "lfs.url", c.own)
		}
		files := []string{"a", "1"}
		if c.lfsconfig != "" {
			files = append(files, ".lfsconfig", "[lfs]\n\turl = "+c.lfsconfig+"\n")
		}
		r.commit("first", files...)
		source, err := Open(t.Context(), Config{URL: r.dir})
		if err != nil {
			t.Fatal(err)
		}
		tip, err := source.Tip(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		snapshot, err := source.Snapshot(t.Context(), tip)
		if err != nil {
			t.Fatal(err)
		}
		server, objects, err := snapshot.LFS()
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", what, err, c.err)
			}
			continue
		}
		if err != nil || server == nil || server.String() != c.want || objects != filepath.Join(r.dir, ".git/lfs/objects") {
			t.Errorf("%s: %v %s, %v; want %s", what, server, objects, err, c.want)
		}
	}
}
