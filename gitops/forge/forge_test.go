package forge

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func logTo(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

func asError(err error) (*Error, bool) { return errors.AsType[*Error](err) }

func TestLocate(t *testing.T) {
	for _, c := range []struct{ repository, base, url, repo, fault string }{
		{repository: "https://github.com/acme/models.git", url: "https://github.com", repo: "acme/models"},
		{repository: "https://bot:pl4nted-git@github.com/acme/models", url: "https://github.com", repo: "acme/models"},
		{repository: "git@github.com:acme/models.git", url: "https://github.com", repo: "acme/models"},
		{repository: "https://GitHub.com/acme/Models", url: "https://github.com", repo: "acme/Models"},
		{repository: "github.com:acme/models/", url: "https://github.com", repo: "acme/models"},
		{repository: "ssh://git@ssh.github.com:443/acme/models.git", url: "https://github.com", repo: "acme/models"},
		{repository: "ssh://git@git.example.com:2222/acme/my.models.git", url: "https://git.example.com", repo: "acme/my.models"},
		{repository: "https://gitlab.com/acme/ml/vision/models.git", url: "https://gitlab.com", repo: "acme/ml/vision/models"},
		{repository: "http://127.0.0.1:3000/davit/models.git", url: "http://127.0.0.1:3000", repo: "davit/models"},
		{repository: "https://[::1]:3000/davit/models.git", url: "https://[::1]:3000", repo: "davit/models"},
		{repository: "https://example.com/gitlab/acme/models.git", base: "https://example.com/gitlab/", url: "https://example.com/gitlab", repo: "acme/models"},
		{repository: "git@example.com:acme/models.git", base: "https://example.com/gitlab", url: "https://example.com/gitlab", repo: "acme/models"},
		{repository: "git@10.0.0.7:acme/models.git", base: "http://forge.example.com:3000", url: "http://forge.example.com:3000", repo: "acme/models"},
		{repository: "/srv/models", fault: "needs a remote repository"},
		{repository: "./a:b", fault: "needs a remote repository"},
		{repository: "file:///srv/models", fault: "needs a remote repository"},
		{repository: `C:\models`, fault: "needs a remote repository"},
		{repository: "https://github.com/models.git", fault: "no owner/name"},
		{repository: "https://github.com/acme/../admin", fault: "no owner/name"},
		{repository: "https://github.com/acme/models%3Fx=1", fault: "no owner/name"},
		{repository: "https://bot:pl4nted-git@%zz/acme/models", fault: "malformed repository URL"},
		{repository: "https:///acme/models", fault: "no host"},
		{repository: "git@github.com:acme/models.git", base: "github.com", fault: "http(s)://host"},
		{repository: "git@github.com:acme/models.git", base: "https://bot:pl4nted-git@github.com", fault: "http(s)://host"},
	} {
		got, err := locate(c.repository, c.base)
		switch {
		case c.fault != "":
			if err == nil || !strings.Contains(err.Error(), c.fault) || strings.Contains(err.Error(), "pl4nted") {
				t.Errorf("%s: %v, want %q", c.repository, err, c.fault)
			}
		case err != nil || got.url.String() != c.url || got.repo != c.repo:
			t.Errorf("%s: %v %s, %v; want %s %s", c.repository, got.url, got.repo, err, c.url, c.repo)
		}
	}
}

func TestNew(t *testing.T) {
	for _, c := range []struct{ kind, repository, want, fault string }{
		{repository: "git@github.com:acme/models", want: "https://api.github.com/"},
		{kind: GitHub, repository: "https://git.example.com/acme/models", want: "https://git.example.com/api/v3/"},
		{kind: GitHub, repository: "https://acme.ghe.com/acme/models", want: "https://api.acme.ghe.com/"},
		{repository: "https://gitlab.com/acme/ml/models", want: "https://gitlab.com/"},
		{repository: "https://codeberg.org/acme/models", want: "https://codeberg.org/"},
		{kind: Gitea, repository: "http://127.0.0.1:3000/acme/models", want: "http://127.0.0.1:3000/"},
		{repository: "https://git.example.com/acme/models", fault: "git.example.com"},
		{kind: "Bitbucket", repository: "https://git.example.com/acme/models", fault: "set kind to GitHub, GitLab or Gitea"},
	} {
		f, err := New(Config{Kind: c.kind, Repository: c.repository})
		if c.fault != "" {
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%s: %v", c.repository, err)
			}
		} else if err != nil || f.scm.BaseURL.String() != c.want {
			t.Errorf("%s: %v, want %s", c.repository, err, c.want)
		}
	}
}

func TestNumber(t *testing.T) {
	for message, want := range map[string]int{
		"Merge pull request #12 from acme/davit/revert\n\nRevert iris":                                       12,
		"Merge pull request 'Promote iris (#3)' (#12) from davit/promote into main\n\nReviewed-on: http://x": 12,
		"Promote iris to v2 (#12)":                                                 12,
		"Promote iris to v2 (#12)\r\n\r\n* one\n":                                  12,
		"Revert \"Promote iris (#12)\" (#13)":                                      13,
		"Revert \"Promote iris (#12)\"":                                            0,
		"Revert \"Merge pull request #12 from acme/x\"":                            0,
		"Promote iris (#12) again":                                                 0,
		"Promote iris\n\nlike (#12)":                                               0,
		"Merge branch 'x' into 'main'\n\nX\n\nSee merge request acme/ml/models!12": 12,
		"Merge branch 'x' into 'main'\n\nSee merge request !7\n\nSee merge request acme/models!12\n": 12,
		"See merge request acme/models!12":            0,
		"x\n\nas we See merge request acme/models!12": 0,
		"Promote (#99999999999999999999)":             0,
		"Promote (#0)":                                0,
		"":                                            0,
	} {
		if got := number(message); got != want {
			t.Errorf("%q: %d, want %d", message, got, want)
		}
	}
}
