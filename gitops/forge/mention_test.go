package forge

import "testing"

func TestMentionURL(t *testing.T) {
	hub := Config{Repository: "https://x:pl4nted-git@github.com/o/r.git"}
	lab := Config{Repository: "git@gitlab.com:o/g/r.git"}
	tea := Config{Kind: Gitea, URL: "https://git.example.com/forge", Repository: "ssh://git@git.example.com/o/r"}
	unknown := Config{Repository: "https://git.example.com/o/r"}
	for _, c := range []struct {
		cfg        Config
		word, want string
	}{
		{hub, "#12", "https://github.com/o/r/pull/12"},
		{hub, "a/b#12", "https://github.com/a/b/pull/12"},
		{hub, "!12", ""},
		{lab, "#12", "https://gitlab.com/o/g/r/-/issues/12"},
		{lab, "!12", "https://gitlab.com/o/g/r/-/merge_requests/12"},
		{lab, "team/models!7", "https://gitlab.com/team/models/-/merge_requests/7"},
		{tea, "#12", "https://git.example.com/forge/o/r/pulls/12"},
		{unknown, "#12", ""},
		{Config{Repository: "/srv/models.git"}, "#12", ""},
		{hub, "https://github.com/o/r/pull/3?x=1#y", "https://github.com/o/r/pull/3?x=1#y"},
		{hub, "https://GitHub.com/o/r", "https://GitHub.com/o/r"},
		{unknown, "https://git.example.com/o/r/pulls/3", "https://git.example.com/o/r/pulls/3"},
		{tea, "https://git.example.com/forge/o/r/pulls/3", "https://git.example.com/forge/o/r/pulls/3"},
		{tea, "https://git.example.com/forged/o/r", ""},
		{hub, "http://github.com/o/r", ""},
		{hub, "https://github.com.evil.example/o/r", ""},
		{hub, "https://github.com@evil.example/o/r", ""},
		{hub, "https://ada:pw@github.com/o/r", ""},
		{hub, "javascript://github.com/%0aalert(1)", ""},
		{hub, "../../evil#1", ""},
		{hub, "//evil.example/o#1", ""},
		{hub, "o/r/../../evil#1", ""},
		{hub, "#12x", ""},
		{hub, "#", ""},
		{hub, "", ""},
	} {
		if got := MentionURL(c.cfg, c.word); got != c.want {
			t.Errorf("%q at %s: %q, want %q", c.word, c.cfg.Repository, got, c.want)
		}
	}
}
