package reconciler

import (
	"strings"
	"testing"

	"github.com/davit-dev/davit/gitops/forge"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

func at(name string, outcome v1alpha1.Phase, without ending) standing {
	return standing{key: registry.Key{Environment: "production", Name: name}, outcome: v1alpha1.Outcome{Outcome: outcome, Version: "v2", Reason: "Crash", Serves: &v1alpha1.Serves{Version: "v1"}}, without: without}
}

// TestVerdict: pending while something is under way and nothing failed; what is unchanged or kept fails nothing.
func TestVerdict(t *testing.T) {
	fault := at("c", "", stopped)
	fault.why = "releases/c/production.yaml:5: no such\nversion"
	gated := at("d", "", keptBack)
	gated.why = "iris@v2 is not healthy in staging"
	for _, c := range []struct {
		all   []standing
		state forge.State
		text  string
	}{
		{nil, forge.Errored, "superseded by a newer commit before anything of it was applied"},
		{[]standing{at("a", v1alpha1.Healthy, ""), at("b", "", underWay)}, forge.Pending, "1 healthy, 1 under way"},
		{[]standing{at("a", v1alpha1.Healthy, ""), at("b", "", unchanged), at("c", "", stays)}, forge.Success, "1 healthy, 1 unchanged, 1 kept"},
		{[]standing{at("a", "", unchanged)}, forge.Success, "a is unchanged by it"},
		{[]standing{at("a", "", stays)}, forge.Success, "a is kept as it is: held, pinned or suspended"},
		{[]standing{at("a", "", underWay), fault}, forge.Failure, "1 stopped, 1 under way: releases/c/production.yaml:5: no such version"},
		{[]standing{gated}, forge.Pending, "d waits: iris@v2 is not healthy in staging"},
		{[]standing{at("a", v1alpha1.Healthy, ""), gated}, forge.Pending, "1 healthy, 1 waiting: iris@v2 is not healthy in staging"},
		{[]standing{gated, fault}, forge.Failure, "1 stopped, 1 waiting: releases/c/production.yaml:5: no such version"},
		{[]standing{at("a", v1alpha1.RolledBack, ""), at("b", "", underWay)}, forge.Failure, "1 rolled back, 1 under way"},
		{[]standing{at("a", v1alpha1.Healthy, ""), at("b", v1alpha1.Superseded, "")}, forge.Errored, "1 superseded, 1 healthy"},
	} {
		if got := verdictOf(c.all); got.State != c.state || got.Description != c.text {
			t.Errorf("%s %q, want %s %q", got.State, got.Description, c.state, c.text)
		}
	}
}

// TestComment: whatever a person or a container wrote stays on its line and means nothing in Markdown.
func TestComment(t *testing.T) {
	pinned := at("iris", v1alpha1.Pinned, "")
	pinned.outcome.By, pinned.outcome.Message = "ada\n\n# @acme/everyone", "see [here](https://evil.example) <!-- **x**"
	failed := at("ranker", v1alpha1.Failed, "")
	failed.outcome.Log = "10%\r100%\r\n# approved\n```\n@acme"
	got := comment("production", []standing{pinned, failed})
	const want = "**production**\n\n" +
		"- ada \\#\u200b \\@\u200bacme/everyone turned iris away from v2 to v1: see \\[here\\]\\(https\\://evil\\.example\\) \\<\\!\u200b\\-\\- \\*\\*x\\*\\*\n" +
		"- ranker v2 failed \\(Crash\\)\n" +
		"  - its last lines:\n\n    ```\n    10%\n    100%\n    # approved\n    '''\n    @acme\n    ```\n"
	if got != want {
		t.Errorf("it is\n%q, want\n%q", got, want)
	}
	many := make([]standing, maxTold+5)
	for i := range many {
		many[i] = at("iris", v1alpha1.Healthy, "")
	}
	if got := comment("production", many); strings.Count(got, "\n- ") != maxTold+1 || !strings.HasSuffix(got, "- and 5 more\n") {
		t.Errorf("many are\n%s", got)
	}
}
