package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"

	"k8s.io/client-go/dynamic"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/gitops"
)

// life is a user with the real git, a clone, a forge with pull requests, and a controller that follows it.
type life struct {
	t          *testing.T
	cfg        lifeConfig
	dev        *devcluster.Cluster
	client     dynamic.Interface
	dir, home  string
	token      string // Ada's, for the forge
	transcript strings.Builder
}

const lifeRepository = "/" + devcluster.ForgeUser + "/models"

// TestLife lives the life of a model in Git, with the real git as the user and a real Gitea as the forge: promoted by a
// pull request, healthy; promoted again, failed, rolled back, its revert proposed and merged; healthy and wrong, turned
// away from by a person; and at the end all of it in the log. README.md's section is made of it: UPDATE=1 writes it.
func TestLife(t *testing.T) {
	t.Parallel()
	l := newLife(t, lifeConfig{})
	l.until("both are healthy at v1", func() bool { return l.healthy("staging", "v1") && l.healthy("production", "v1") })

	l.say("Ada promotes v2: one line on a branch, and a pull request.")
	l.promote("v1", "v2")
	l.until("v2 is healthy", func() bool { return l.healthy("production", "v2") })
	l.until("the pull request tells of it", func() bool { return strings.Contains(l.comments(1), "iris is healthy at v2") })
	l.until("the merge commit has its statuses", func() bool { return l.statuses("main")["davit/production"] == "success" })

	l.say("So she does with v3, whose weights are damaged.")
	l.promote("v2", "v3")
	l.until("it is rolled back", func() bool { return l.phase("production") == "RolledBack" })
	l.until("a revert is proposed", func() bool { return l.pull(3).Head.Ref == "davit/revert/production/iris" })
	l.until("the pull request of v3 names it", func() bool { return strings.Contains(l.comments(2), "/pulls/3") })
	l.until("the status is a failure", func() bool { return l.statuses("main")["davit/production"] == "failure" })
	l.run("git pull -q")
	l.show("davit status production/iris")
	l.say("davit has proposed the revert, as pull request 3. It says what failed:")
	l.run("git fetch -q")
	l.show("git log -1 --format=%B origin/davit/revert/production/iris")
	l.show("git diff --stat main...origin/davit/revert/production/iris")
	l.say("Merged, it ends the hold.")
	l.merge(3)
	l.until("the hold has ended", func() bool { return l.phase("production") == "Healthy" })
	l.until("its branch is gone", func() bool { return l.run("git ls-remote origin davit/revert/production/iris") == "" })

	l.say("Later v2 is found to be wrong, though it is healthy.")
	l.run("git pull -q")
	l.show(`davit rollback production/iris --reason "calls every flower setosa" --mark-bad --forge Gitea`)
	l.until("v1 serves", func() bool { return l.healthy("production", "v1") })
	l.merge(4)
	l.until("the pin has ended", func() bool { return !l.pinned("production") && l.healthy("production", "v1") })

	l.say("What was, and what came of it, is in Git, for every clone:")
	l.show("davit init .")
	l.until("the outcomes are in Git", func() bool {
		l.run("git fetch -q && git pull -q")
		return strings.Count(l.run("git log --first-parent --format=%N"), "production/iris") >= 8
	})
	l.show("davit history production/iris")
	l.show("git log -1 --first-parent --format='%h %an: %s%n%N' HEAD~2")
	l.show("git verify-commit refs/notes/origin/davit && echo signed")
	l.page("life")
	l.complete()
}

// complete: two controllers and a user have pushed at once, and each outcome is there, once.
func (l *life) complete() {
	l.t.Helper()
	count := map[string]int{}
	for line := range strings.Lines(l.run("git log --first-parent --format=%N")) {
		var e gitops.Event
		if json.Unmarshal([]byte(line), &e) == nil && e.Release != "" {
			count[strings.Join([]string{e.Release, e.Version, e.Outcome}, " ")]++
		}
	}
	want := map[string]int{
		"staging/iris v1 Healthy": 1, "production/iris v1 Healthy": 3, "production/iris v2 Healthy": 2, "production/iris v3 Failed": 1,
		"production/iris v3 RolledBack": 1, "production/iris v2 Pinned": 1,
	}
	if !maps.Equal(count, want) {
		l.t.Errorf("outcomes %v, want %v", count, want)
	}
}

var (
	// What is another each time the story is lived.
	lifeMasks = []struct {
		pattern *regexp.Regexp
		with    string
	}{
		{regexp.MustCompile(`SHA256:[A-Za-z0-9+/]+`), "<key>"},
		{regexp.MustCompile(`(\b|_)[0-9a-f]{12,64}\b|\b[0-9a-f]{7,10}\b`), "<hash>"},
		{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?Z?`), "<time>"},
		{regexp.MustCompile(`\b([0-9]+h)?([0-9]+m)?[0-9.]+m?s\b|\b([0-9]+h)?[0-9]+m\b|\b[0-9]+h\b`), "<took>"},
		{regexp.MustCompile(`\s+`), " "}, // columns, and where a line is broken
	}
)

// page holds a section of README.md to the transcript, but for hashes, times and the width of columns.
func (l *life) page(name string) {
	l.t.Helper()
	text := strings.NewReplacer(
		strings.Replace(l.dev.Forge, "://", "://ada:"+devcluster.ForgePassword+"@", 1), "https://git.example.com",
		l.dev.Forge, "https://git.example.com", l.dev.Registry, "registry.example.com", "/"+devcluster.ForgeUser+"/models", "/ml/models",
	).Replace(l.transcript.String())
	const readme = "../../README.md"
	pages.Lock()
	defer pages.Unlock()
	page, err := os.ReadFile(readme)
	if err != nil {
		l.t.Fatal(err)
	}
	section := regexp.MustCompile("(?s)(<!-- " + name + " -->\n```\n)(.*?)(```\n)").FindSubmatchIndex(page)
	if section == nil {
		l.t.Fatalf("%s has no section <!-- %s -->", readme, name)
	}
	if os.Getenv("UPDATE") != "" {
		page = append(append(bytes.Clone(page[:section[4]]), text...), page[section[5]:]...)
		if err := os.WriteFile(readme, page, 0o644); err != nil {
			l.t.Fatal(err)
		}
		return
	}
	if got, want := lifeMask(text), lifeMask(string(page[section[4]:section[5]])); got != want {
		l.t.Errorf("%s tells another story; UPDATE=1 writes it anew. Lived:\n%s", readme, text)
	}
}

func lifeMask(text string) string {
	for _, m := range lifeMasks {
		text = m.pattern.ReplaceAllString(text, m.with)
	}
	return text
}
