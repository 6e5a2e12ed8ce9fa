package history

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

func production(version string) files {
	return iris().with("releases/iris/production.yaml", spec("Release", "{version: "+version+"}"))
}

// event is a note's line about production/iris; minutes are of one hour.
func event(outcome, version string, at, applied int, more string) string {
	line := fmt.Sprintf(`{"at":"2026-03-31T10:%02d:00Z","release":"production/iris","outcome":%q,"version":%q`, at, outcome, version)
	if applied >= 0 {
		line += fmt.Sprintf(`,"applied":"2026-03-31T10:%02d:00Z"`, applied)
	}
	return line + more + "}"
}

// told is a revision in short: its outcome, and when it served, in minutes of that hour.
func told(r Revision) string {
	var served []string
	for _, p := range r.Served {
		until := ""
		if !p.Until.IsZero() {
			until = p.Until.UTC().Format("04")
		}
		served = append(served, p.From.UTC().Format("04")+"-"+until)
	}
	return strings.TrimSpace(fmt.Sprintf("%s→%s %s %s", r.From, r.To, r.Outcome(), strings.Join(served, " ")))
}

// TestRevisions tells what came of each revision and when it served.
func TestRevisions(t *testing.T) {
	serves := func(version, commit string) string {
		return fmt.Sprintf(`,"serves":%q,"commit":%q,"reason":"CrashLoop"`, version, commit)
	}
	for _, c := range []struct {
		name string
		note func(r *repo, v1, v2, readme, v1again string)
		want []string // newest first
	}{
		{"nothing noted", func(*repo, string, string, string, string) {}, []string{"v2→v1", "v1→v2", "→v1"}},
		{"healthy each", func(r *repo, v1, v2, _, again string) {
			r.note(v1, event("Healthy", "v1", 2, 1, ""))
			r.note(v2, event("Healthy", "v2", 12, 11, ""))
			r.note(again, event("Healthy", "v1", 22, -1, ""))
		}, []string{"v2→v1 Healthy 22-", "v1→v2 Healthy 11-22", "→v1 Healthy 01-11"}},
		{"rolled back", func(r *repo, v1, v2, _, _ string) {
			r.note(v1, event("Healthy", "v1", 2, 1, ""))
			r.note(v2, event("Failed", "v2", 12, 11, ""))
			r.note(v2, event("RolledBack", "v2", 13, -1, serves("v1", v1)))
		}, []string{"v2→v1", "v1→v2 RolledBack 11-13", "→v1 Healthy 01-11 13-"}},
		{"failed before anything was applied", func(r *repo, v1, v2, _, _ string) {
			r.note(v1, event("Healthy", "v1", 2, 1, ""))
			r.note(v2, event("Failed", "v2", 12, -1, ""))
		}, []string{"v2→v1", "v1→v2 Failed", "→v1 Healthy 01-"}},
		{"turned away from, and removed", func(r *repo, v1, v2, _, again string) {
			r.note(v1, event("Healthy", "v1", 2, 1, ""))
			r.note(v2, event("Healthy", "v2", 12, 11, ""))
			r.note(v2, event("Pinned", "v2", 20, 11, serves("v1", v1)))
			r.note(again, event("Removed", "v1", 30, -1, ""))
		}, []string{"v2→v1 Removed", "v1→v2 Pinned 11-20", "→v1 Healthy 01-11 20-30"}},
		{"superseded", func(r *repo, v1, v2, _, again string) {
			r.note(v1, event("Healthy", "v1", 2, 1, ""))
			r.note(v2, event("Superseded", "v2", 13, 11, ""))
			r.note(again, event("Healthy", "v1", 15, 13, ""))
		}, []string{"v2→v1 Healthy 13-", "v1→v2 Superseded 11-13", "→v1 Healthy 01-11"}},
		{"pinned to the version before, at the tip, and resumed", func(r *repo, v1, v2, _, _ string) {
			r.note(v1, event("Healthy", "v1", 2, 1, ""))
			r.note(v2, event("Healthy", "v2", 12, 11, ""))
			r.note(v2, event("Pinned", "v2", 20, 11, `,"serves":"v1","commit":"`+v2+`"`))
			r.note(v2, event("Healthy", "v1", 22, 20, ""))
			r.note(v2, event("Healthy", "v2", 32, 31, ""))
		}, []string{"v2→v1", "v1→v2 Healthy 11-20 31-", "→v1 Healthy 01-11 20-31"}},
		{"pinned to a version that the branch never asked for", func(r *repo, v1, v2, _, _ string) {
			r.note(v2, event("Healthy", "v2", 12, 11, ""))
			r.note(v2, event("Pinned", "v2", 20, 11, `,"serves":"v3","commit":"`+v2+`"`))
			r.note(v2, event("Healthy", "v3", 22, 20, ""))
		}, []string{"v2→v1", "v1→v2 Pinned 11-20", "→v1"}},
		{"in the same second", func(r *repo, v1, v2, model, again string) {
			r.note(v1, event("Healthy", "v1", 8, 8, ""))
			r.note(v2, event("Healthy", "v2", 8, 8, ""))
			r.note(again, event("Healthy", "v1", 8, 7, "")) // its objects were there before
		}, []string{"v2→v1 Healthy 07-08", "v1→v2 Healthy 08-", "→v1 Healthy 08-08"}},
		{"noted on a later commit that left the inputs alone", func(r *repo, v1, v2, model, _ string) {
			r.note(v1, event("Healthy", "v1", 2, 1, ""))
			r.note(model, event("Healthy", "v2", 12, 11, ""))
		}, []string{"v2→v1", "v1→v2 Healthy 11-", "→v1 Healthy 01-11"}},
		{"another release's", func(r *repo, v1, v2, _, _ string) {
			r.note(v2, strings.ReplaceAll(event("Healthy", "v2", 12, 11, ""), "production", "staging"))
		}, []string{"v2→v1", "v1→v2", "→v1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRepo(t)
			v1 := r.commit("main", "v1", production("v1"))
			v2 := r.commit("main", "v2", production("v2"), v1)
			model := r.commit("main", "the model's page", production("v2").with("models/iris/model.yaml", spec("Model", "{task: x}")), v2)
			again := r.commit("main", "v1 again", production("v1"), model)
			c.note(r, v1, v2, model, again)
			h := New(Config{Source: r.open()})
			list, err := h.Revisions(t.Context(), gitops.ParseHash(again), Filter{Environment: "production", Release: "iris"})
			if err != nil {
				t.Fatal(err)
			}
			for i, rev := range list {
				if got := told(rev); i >= len(c.want) || got != c.want[i] {
					t.Errorf("got %s, want %v", got, c.want)
				}
			}
			if len(list) != len(c.want) {
				t.Errorf("%d revisions, want %d", len(list), len(c.want))
			}
		})
	}
}

// TestReason is the last outcome's, and of a rollback that of the failure.
func TestReason(t *testing.T) {
	failed := gitops.Event{Outcome: "Failed", Reason: "CrashLoop", Message: "it ended"}
	pinned := gitops.Event{Outcome: "Pinned", Reason: "AskedFor", Message: "wrong answers"}
	for _, c := range []struct {
		events []gitops.Event
		want   string
	}{
		{nil, ""},
		{[]gitops.Event{failed}, "CrashLoop"},
		{[]gitops.Event{failed, {Outcome: "RolledBack"}}, "CrashLoop"},
		{[]gitops.Event{pinned}, "AskedFor"},
		{[]gitops.Event{pinned, {Outcome: "Healthy"}}, ""},
	} {
		if word, _ := (&Revision{Events: c.events}).Reason(); word != c.want {
			t.Errorf("%+v: %q, want %q", c.events, word, c.want)
		}
	}
}

// TestAtOfPin is the version that was noted, with its files, and not the one that the commit's files name.
func TestAtOfPin(t *testing.T) {
	r := newRepo(t)
	v1 := r.commit("main", "v1", production("v1"))
	tip := r.commit("main", "v2", production("v2"), v1)
	r.note(tip, event("Healthy", "v2", 12, 11, `,"image":"example.com/m/iris@sha256:22"`))
	r.note(tip, event("Pinned", "v2", 20, 11, `,"serves":"v1","commit":"`+tip+`","image":"example.com/m/iris@sha256:22"`))
	r.note(tip, event("Healthy", "v1", 22, 20, `,"image":"example.com/m/iris@sha256:11"`))
	h := New(Config{Source: r.open()})
	for minute, want := range map[int]string{15: "v2 22", 21: "v1 11", 30: "v1 11"} {
		at := time.Date(2026, 3, 31, 10, minute, 0, 0, time.UTC)
		list, err := h.At(t.Context(), gitops.ParseHash(tip), at, Filter{Environment: "production", Release: "iris"})
		if err != nil || len(list) != 1 || list[0].Spec == nil {
			t.Fatalf("10:%d: %+v, %v", minute, list, err)
		}
		s := list[0]
		if got := s.Version + " " + s.Image[len(s.Image)-2:]; got != want || s.Spec.ModelVersion.Name != s.Version || s.Commit != tip {
			t.Errorf("10:%d: %s, read %s of %s; want %s", minute, got, s.Spec.ModelVersion.Name, s.Commit, want)
		}
	}
}

// TestLastHealthy is the newest other version that was healthy and was not given up.
func TestLastHealthy(t *testing.T) {
	r := newRepo(t)
	tree := production("v1").with("models/iris/versions/v3.yaml", version("")).with("models/iris/versions/v4.yaml", version(""))
	at := func(v string) files {
		return tree.with("releases/iris/production.yaml", spec("Release", "{version: "+v+"}"))
	}
	v1 := r.commit("main", "v1", at("v1"))
	v2 := r.commit("main", "v2", at("v2"), v1)
	v3 := r.commit("main", "v3", at("v3"), v2)
	v4 := r.commit("main", "v4", at("v4"), v3)
	again := r.commit("main", "v4, otherwise", at("v4").with("releases/iris/serving.yaml", spec("Serving", "{model: iris, runtime: custom}")), v4)
	key := registry.Key{Environment: "production", Name: "iris"}
	last := func(other string) string {
		t.Helper()
		got, err := New(Config{Source: r.open()}).LastHealthy(t.Context(), gitops.ParseHash(again), key, other)
		if err != nil {
			t.Fatal(err)
		}
		if got == nil {
			return ""
		}
		return got.Commit
	}
	if got := last("v4"); got != "" {
		t.Errorf("without outcomes: %s", got)
	}
	r.note(v1, event("Healthy", "v1", 2, 1, ""))
	r.note(v2, event("Healthy", "v2", 4, 3, ""))
	r.note(v3, event("Healthy", "v3", 6, 5, ""))
	r.note(v3, event("Pinned", "v3", 7, 5, fmt.Sprintf(`,"serves":"v2","commit":%q`, v2)))
	r.note(v4, event("Healthy", "v4", 9, 8, ""))
	if got := last("v4"); got != v2 {
		t.Errorf("from v4: %s, want v2's %s", got, v2)
	}
	if got := last("v2"); got != v4 {
		t.Errorf("from v2: %s, want v4's %s", got, v4)
	}
}

// TestAt tells what served at a time, and what was only asked for.
func TestAt(t *testing.T) {
	r := newRepo(t)
	r.clock = time.Date(2026, 3, 31, 9, 0, 0, 0, time.UTC).Unix() - 60
	v1 := r.commit("main", "v1", production("v1")) // 9:00
	r.clock += 58 * 60
	v2 := r.commit("main", "v2", production("v2"), v1) // 9:59
	r.clock += 59 * 60
	gone := r.commit("main", "gone", production("v2").with("releases/iris/staging.yaml", "").with("releases/iris/production.yaml", ""), v2) // 10:59
	r.note(v1, event("Healthy", "v1", 2, 1, `,"image":"example.com/m/iris@sha256:11"`))
	r.note(v2, event("Healthy", "v2", 12, 10, ""))
	r.note(v2, event("Removed", "v2", 59, -1, ""))
	h := New(Config{Source: r.open()})
	at := func(hour, minute int, f Filter) (lines []string) {
		t.Helper()
		list, err := h.At(t.Context(), gitops.ParseHash(gone), time.Date(2026, 3, 31, hour, minute, 0, 0, time.UTC), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			text := s.Release.String() + " " + s.Version
			if s.Intent {
				text += " intended"
			}
			if s.Rollout != nil {
				text += " after " + s.Rollout.From
			}
			if s.Spec == nil || s.Spec.ModelVersion.Name != s.Version || s.Spec.ModelVersion.Spec.Files[0].Path != "a" {
				t.Errorf("%s: read %+v: %s", text, s.Spec, s.Problem)
			}
			lines = append(lines, text)
		}
		return lines
	}
	for _, c := range []struct {
		hour, minute int
		want         string
	}{
		{8, 0, ""},
		{9, 30, "production/iris v1 intended, staging/iris v1 intended"},
		{10, 0, "production/iris v2 intended, staging/iris v1 intended"},
		{10, 5, "production/iris v1, staging/iris v1 intended"},
		{10, 11, "production/iris v2 after v1, staging/iris v1 intended"},
		{10, 12, "production/iris v2, staging/iris v1 intended"},
		{10, 58, "production/iris v2, staging/iris v1 intended"},
		{11, 30, ""},
	} {
		if got := strings.Join(at(c.hour, c.minute, Filter{}), ", "); got != c.want {
			t.Errorf("%d:%02d: %s, want %s", c.hour, c.minute, got, c.want)
		}
	}
	if got := at(10, 5, Filter{Environment: "production", Model: "iris"}); len(got) != 1 {
		t.Errorf("of one environment: %v", got)
	}
	if got := at(10, 5, Filter{Model: "rose"}); len(got) != 0 {
		t.Errorf("of another model: %v", got)
	}
	list, err := h.At(t.Context(), gitops.ParseHash(gone), time.Date(2026, 3, 31, 10, 5, 0, 0, time.UTC), Filter{Environment: "production"})
	if err != nil || len(list) != 1 || list[0].Commit != v1 || list[0].Image != "example.com/m/iris@sha256:11" || list[0].Since.Minute() != 1 || list[0].Until.Minute() != 10 {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestAtOfMany reads the registry once, and single releases where they served from another commit.
func TestAtOfMany(t *testing.T) {
	r := newRepo(t)
	r.clock = time.Date(2026, 3, 31, 9, 0, 0, 0, time.UTC).Unix()
	tree := production("v1")
	for i := range 2 * many {
		for _, name := range []string{"serving", "production"} {
			tree[fmt.Sprintf("releases/r%02d/%s.yaml", i, name)] = tree["releases/iris/"+name+".yaml"]
		}
	}
	v1 := r.commit("main", "v1", tree)
	tip := r.commit("main", "v2", tree.with("releases/iris/production.yaml", production("v2")["releases/iris/production.yaml"]), v1)
	r.note(v1, event("Healthy", "v1", 2, 1, ""))
	r.note(tip, event("Failed", "v2", 4, 3, ""))
	r.note(tip, event("RolledBack", "v2", 5, -1, fmt.Sprintf(`,"serves":"v1","commit":%q`, v1)))
	list, err := New(Config{Source: r.open()}).At(t.Context(), gitops.ParseHash(tip), time.Date(2026, 3, 31, 11, 0, 0, 0, time.UTC), Filter{})
	if err != nil || len(list) != 2*many+2 {
		t.Fatal(len(list), err)
	}
	for _, s := range list {
		if s.Spec == nil || s.Spec.ModelVersion.Name != "v1" || s.Version != "v1" || s.Intent == (s.Release.String() == "production/iris") {
			t.Errorf("%+v", s)
		}
	}
}

// TestFilter bounds what is told, the newest first.
func TestFilter(t *testing.T) {
	r := newRepo(t)
	tip := r.commit("main", "first", iris())
	var times []int64
	for i := range 6 {
		tip = r.commit("main", "next", production([]string{"v2", "v1"}[i%2]), tip)
		times = append(times, r.clock)
	}
	at := func(i int) time.Time { return time.Unix(times[i], 0) }
	h := New(Config{Source: r.open()})
	for _, c := range []struct {
		filter Filter
		want   int
	}{
		{Filter{}, 8}, {Filter{Limit: 3}, 3}, {Filter{Limit: 100}, 8},
		{Filter{Environment: "staging"}, 1}, {Filter{Environment: "production", Release: "iris"}, 7}, {Filter{Release: "iris"}, 8}, {Filter{Release: "rose"}, 0},
		{Filter{Model: "iris", Environment: "production"}, 7}, {Filter{Model: "rose"}, 0},
		{Filter{Since: at(1), Until: at(3)}, 3}, {Filter{Since: at(5).Add(time.Second)}, 0}, {Filter{Until: at(0).Add(-time.Second)}, 2},
	} {
		got, err := h.Changes(t.Context(), gitops.ParseHash(tip), c.filter)
		if err != nil || len(got) != c.want {
			t.Errorf("%+v: %d changes, %v; want %d", c.filter, len(got), err, c.want)
		}
		if len(got) > 1 && got[0].When.Before(got[1].When) {
			t.Errorf("%+v: the oldest comes first", c.filter)
		}
	}
	from, to, err := h.Metrics(t.Context(), must(h.Changes(t.Context(), gitops.ParseHash(tip), Filter{Limit: 1}))[0])
	if err != nil || from["accuracy"] != 0.95 || to["accuracy"] != 0.9 {
		t.Errorf("metrics %v and %v, %v", from, to, err)
	}
}

// TestConcurrently asks for several tips at once, while the branch grows.
func TestConcurrently(t *testing.T) {
	r := newRepo(t)
	tips := []string{r.commit("main", "first", iris())}
	for i := range 8 {
		tips = append(tips, r.commit("main", "next", production([]string{"v2", "v1"}[i%2]), tips[i]))
	}
	h := New(Config{Source: r.open()})
	var asking sync.WaitGroup
	for i, tip := range tips {
		asking.Go(func() {
			if got, err := h.Changes(t.Context(), gitops.ParseHash(tip), Filter{}); err != nil || len(got) != i+2 {
				t.Errorf("at %d: %d changes, %v", i, len(got), err)
			}
		})
	}
	asking.Wait()
}

// TestSlow says once that many commits are read, and keeps what was read when it is canceled.
func TestSlow(t *testing.T) {
	r := newRepo(t)
	tip := r.commit("main", "first", iris())
	var in strings.Builder
	for i := range slow {
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter A <a@example.com> %d +0000\ndata 1\nx\n", r.clock+int64(i))
		if i == 0 {
			fmt.Fprintf(&in, "from %s\n", tip)
		}
		fmt.Fprintf(&in, "M 644 inline README.md\ndata 4\n%04d\n", i)
	}
	r.feed(in.String(), "fast-import", "--quiet")
	tip = r.git("rev-parse", "main")
	impatient := &patience{Context: t.Context()}
	impatient.left.Store(3 * slow) // a commit of the walk, and of the index, asks a few times
	if _, err := New(Config{Source: r.open()}).Changes(impatient, gitops.ParseHash(tip), Filter{}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if x := New(Config{Source: r.open()}).load(); len(x.entries) == 0 || len(x.entries) > slow {
		t.Errorf("%d commits were kept of what was read", len(x.entries))
	}
	if err := os.RemoveAll(filepath.Join(r.dir, ".git", "davit")); err != nil {
		t.Fatal(err)
	}
	said := 0
	for range 2 {
		h := New(Config{Source: r.open(), Slow: func(commits int) { said += commits }})
		if got, err := h.Changes(t.Context(), gitops.ParseHash(tip), Filter{}); err != nil || len(got) != 2 {
			t.Fatal(len(got), err)
		}
	}
	if said != slow+1 {
		t.Errorf("said %d, want %d", said, slow+1)
	}
}

// patience is a context that is canceled when it was asked so often.
type patience struct {
	context.Context
	left atomic.Int64
}

func (p *patience) Err() error {
	if p.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}
