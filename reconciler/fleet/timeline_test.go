package fleet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/reconciler/fleet"
)

// story is what happened to iris in a day: v3 is promoted, crashes and is rolled back; more workers; a merge.
type story struct {
	*past
	first, bad, workers, notes, shared string
}

func newStory(t *testing.T) *story {
	t.Helper()
	s := &story{past: newPast(t)}
	s.first = s.git("rev-parse", "HEAD")
	s.note(s.first, `{"at":"2026-01-02T01:00:20Z","release":"production/iris","outcome":"Healthy","version":"v1","applied":"2026-01-02T01:00:10Z"}`)
	s.edit("releases/iris/production.yaml", "version: v1", "version: v3")
	s.bad = s.commit("Grace", "Promote production/iris to v3\n\nPull-Request: https://git.example.com/models/pulls/7")
	s.note(s.bad, `{"at":"2026-01-02T02:02:00Z","release":"production/iris","outcome":"Failed","version":"v3","from":"v1","reason":"CrashLoop","message":"exited with code 1","applied":"2026-01-02T02:01:00Z"}`)
	s.note(s.bad, fmt.Sprintf(`{"at":"2026-01-02T02:03:00Z","release":"production/iris","outcome":"RolledBack","version":"v3","serves":"v1","commit":%q}`, s.first))
	s.edit("releases/iris/serving.yaml", "args: {model-name: iris}", "args: {model-name: iris, workers: \"2\"}\n  env: {TOKEN: {secret: hf, key: token}}")
	s.workers = s.commit("Ada", "Two workers")
	s.edit("models/iris/README.md", "# Iris", "# Irises")
	s.write("NOTES", "x")
	s.notes = s.commit("Linus", "A better card")
	s.git("switch", "-q", "-c", "runtime")
	s.edit("environments/production/environment.yaml", "bake: 5s", "bake: 7s")
	s.commit("Linus", "production bakes longer")
	s.git("switch", "-q", "main")
	s.clock += 3600
	s.gitBy("Grace", "merge", "-q", "--no-ff", "-m", "Merge pull request '#9' (#9) from runtime into main", "runtime")
	s.shared = s.git("rev-parse", "HEAD")
	s.read()
	return s
}

func TestTimeline(t *testing.T) {
	s := newStory(t)
	got := s.timeline(fleet.Viewer{}, fleet.TimelineQuery{})
	want := []string{"Merge pull request '#9' (#9) from runtime into main", "A better card", "Two workers", "Promote production/iris to v3", "iris at v1"}
	if !slices.Equal(subjects(got), want) || got.All != 5 || got.Found != 5 {
		t.Fatalf("%v, %d of %d", subjects(got), got.Found, got.All)
	}
	bad := got.Commits[3]
	if bad.State != fleet.Stopped || bad.PullRequest != "https://git.example.com/models/pulls/7" || bad.PullRequestURL != bad.PullRequest || bad.Author != "Grace" || bad.Merger != "" || bad.URL != s.CommitURL(s.bad) || len(bad.Releases) != 1 {
		t.Errorf("the bad commit: %+v", bad)
	}
	e := bad.Releases[0]
	if e.From != "v1" || e.To != "v3" || e.Outcome != "RolledBack" || e.Reason != "CrashLoop" || e.Message != "exited with code 1" || e.Events != nil {
		t.Errorf("its release: %+v", e)
	}
	if len(e.Metrics) != 1 || e.Metrics[0].Name != "accuracy" || *e.Metrics[0].From != 0.72 || *e.Metrics[0].To != 0.96 {
		t.Errorf("its metrics: %+v", e.Metrics)
	}
	workers := got.Commits[2]
	if len(workers.Releases) != 2 || !slices.Equal(workers.Releases[0].Edits, []fleet.Edit{{What: "--workers", To: "2"}, {What: "variable TOKEN"}}) {
		t.Errorf("more workers: %+v", workers.Releases)
	}
	if card := got.Commits[1]; !slices.Equal(card.What, []fleet.Deed{{Kind: "card", Name: "iris", How: "changed"}}) || len(card.Releases) != 0 || card.State != fleet.Past {
		t.Errorf("the card: %+v", card)
	}
	merge := got.Commits[0]
	if merge.Author != "Linus" || merge.Merger != "Grace" || merge.PullRequest != "#9" || merge.PullRequestURL != "https://git.example.com/ml/models/pulls/9" || len(merge.Links) != 2 || !merge.Shared || !slices.Equal(merge.What, []fleet.Deed{{Kind: "environment", Name: "production", How: "changed"}}) {
		t.Errorf("the merge: %+v", merge)
	}
	if len(got.Troubles) != 1 || got.Troubles[0].Commit != s.bad || got.Troubles[0].From.Format(time.TimeOnly) != "02:01:00" || got.Troubles[0].Until.Format(time.TimeOnly) != "02:03:00" {
		t.Errorf("troubles: %+v", got.Troubles)
	}
	marked := 0
	for _, m := range got.Strip {
		marked += m.Count
	}
	if marked != 5 || got.Strip[0].From.Before(got.Since) {
		t.Errorf("the strip from %v: %+v", got.Since, got.Strip)
	}
	if text, _ := json.Marshal(got); strings.Contains(string(text), "hf") {
		t.Errorf("the value of a variable is told: %s", text)
	}
}

func TestTimelineIsSelected(t *testing.T) {
	s := newStory(t)
	at := func(text string) time.Time {
		out, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	merge, card, workers, bad, first := "Merge pull request '#9' (#9) from runtime into main", "A better card", "Two workers", "Promote production/iris to v3", "iris at v1"
	for _, c := range []struct {
		q    fleet.TimelineQuery
		want []string
	}{
		{fleet.TimelineQuery{Environment: "production"}, []string{merge, workers, bad, first}},
		{fleet.TimelineQuery{Environment: "staging"}, []string{workers, first}},
		{fleet.TimelineQuery{Release: "production/iris"}, []string{workers, bad, first}},
		{fleet.TimelineQuery{Release: "other"}, nil},
		{fleet.TimelineQuery{Model: "iris"}, []string{card, workers, bad, first}},
		{fleet.TimelineQuery{Author: "grace"}, []string{merge, bad}},
		{fleet.TimelineQuery{Author: "linus@example"}, []string{merge, card}},
		{fleet.TimelineQuery{Outcome: "trouble"}, []string{bad}},
		{fleet.TimelineQuery{Outcome: "Healthy"}, []string{first}},
		{fleet.TimelineQuery{Since: at("2026-01-02T03:00:00Z")}, []string{merge, card, workers}},
		{fleet.TimelineQuery{Until: at("2026-01-02T02:59:59Z")}, []string{bad, first}},
		{fleet.TimelineQuery{From: 1, Limit: 2}, []string{card, workers}},
		{fleet.TimelineQuery{From: 99}, nil},
	} {
		if got := subjects(s.timeline(fleet.Viewer{}, c.q)); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.q, got, c.want)
		}
	}
	got := s.timeline(fleet.Viewer{}, fleet.TimelineQuery{Commit: s.bad[:12], Author: "nobody"})
	if got.Commit == nil || got.Commit.Commit != s.bad || len(got.Commit.Releases[0].Events) != 2 || len(got.Commits) != 0 {
		t.Errorf("one commit: %+v", got.Commit)
	}
	if got := s.timeline(fleet.Viewer{}, fleet.TimelineQuery{Commit: s.bad[:6]}); got.Commit != nil {
		t.Error("six digits are enough")
	}
}

// TestTimelineHides: what a viewer may not see is not in it.
func TestTimelineHides(t *testing.T) {
	s := newStory(t)
	staging := fleet.Viewer{May: func(_, environment string) bool { return environment == "staging" }}
	got := s.timeline(staging, fleet.TimelineQuery{Commit: s.bad})
	if want := []string{"A better card", "Two workers", "iris at v1"}; !slices.Equal(subjects(got), want) || got.Commit != nil || len(got.Troubles) != 0 {
		t.Errorf("%q, %+v, %+v", subjects(got), got.Commit, got.Troubles)
	}
	text, err := json.Marshal(got.Commits)
	if err != nil || strings.Contains(string(text), "production/") || strings.Contains(string(text), `"production"`) || !slices.Equal(got.Environments, []string{"staging"}) {
		t.Errorf("production is told: %s, %v", text, err)
	}
	m, err := s.Model(t.Context(), staging, "models", "iris", "v1")
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := json.Marshal(m); strings.Contains(string(text), "production/iris") || strings.Contains(string(text), `"production"`) {
		t.Errorf("production is told: %s", text)
	}
}

// TestTimelineGrows: what a chronicle was made from grows, and is rewritten.
func TestTimelineGrows(t *testing.T) {
	s := newStory(t)
	s.timeline(fleet.Viewer{}, fleet.TimelineQuery{})
	s.note(s.workers, `{"at":"2026-01-02T03:01:00Z","release":"staging/iris","outcome":"Healthy","version":"v1","applied":"2026-01-02T03:00:30Z"}`)
	if got := s.timeline(fleet.Viewer{}, fleet.TimelineQuery{Environment: "staging", Outcome: "Healthy"}); !slices.Equal(subjects(got), []string{"Two workers"}) {
		t.Errorf("after an outcome: %q", subjects(got))
	}
	s.edit("releases/iris/staging.yaml", "version: v1", "version: v2")
	s.commit("Ada", "staging/iris to v2")
	s.read()
	if got := s.timeline(fleet.Viewer{}, fleet.TimelineQuery{}); len(got.Commits) != 6 || got.Commits[0].Releases[0].To != "v2" || got.Commits[4].State != fleet.Stopped {
		t.Errorf("after a commit: %q", subjects(got))
	}
	s.git("reset", "-q", "--hard", s.bad)
	s.read()
	if got := s.timeline(fleet.Viewer{}, fleet.TimelineQuery{}); !slices.Equal(subjects(got), []string{"Promote production/iris to v3", "iris at v1"}) {
		t.Errorf("after a reset: %q", subjects(got))
	}
}

// TestTimelineIsTold: a commit that changes no release, and an outcome that came late, are news.
func TestTimelineIsTold(t *testing.T) {
	s := newStory(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	told := make(chan []fleet.Change, 100)
	go func() {
		_ = s.Changes(ctx, func(all []fleet.Change) error { told <- all; return nil })
	}()
	hears := func(of string, do func()) {
		t.Helper()
		for len(told) > 0 {
			<-told
		}
		do()
		select {
		case all := <-told:
			if len(all) != 1 || all[0] != (fleet.Change{Registry: "models"}) {
				t.Errorf("%s: %v", of, all)
			}
		case <-ctx.Done():
			t.Fatalf("%s is no news", of)
		}
		s.timeline(fleet.Viewer{}, fleet.TimelineQuery{})
	}
	s.timeline(fleet.Viewer{}, fleet.TimelineQuery{})
	hears("a commit", func() {
		s.write("NOTES", "y")
		s.commit("Ada", "more notes")
		s.read()
	})
	hears("an outcome", func() {
		s.note(s.workers, `{"at":"2026-01-02T03:01:00Z","release":"staging/iris","outcome":"Healthy","version":"v1"}`)
	})
}

func TestTimelineOfNothing(t *testing.T) {
	f := fleet.New(fleet.Config{})
	if got, err := f.Timeline(t.Context(), fleet.Viewer{}, "models", fleet.TimelineQuery{}); got != nil || err != nil {
		t.Error(got, err)
	}
}
