package plan_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/davit-dev/davit/reconciler/plan"
	"github.com/davit-dev/davit/registry"
)

// live is Markdown without its code: blocks between fences, and spans between equal runs of backticks, as CommonMark 6.1
// and 4.5 have them. What is left is what a forge gives a meaning to.
func live(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	fence := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		run := line[:len(line)-len(strings.TrimLeft(line, "`"))]
		switch {
		case fence != "":
			if trimmed := strings.TrimLeft(line, " "); len(line)-len(trimmed) < 4 && strings.HasPrefix(trimmed, fence) && strings.Trim(trimmed, "` ") == "" {
				fence = ""
			}
			continue
		case len(run) >= 3 && !strings.Contains(line[len(run):], "`"):
			fence = run
			continue
		}
		out.WriteString(withoutSpans(line) + "\n")
	}
	if fence != "" {
		t.Errorf("a block is not closed:\n%s", text)
	}
	return out.String()
}

var ticks = regexp.MustCompile("`+")

func withoutSpans(line string) string {
	out := ""
	for {
		at := ticks.FindStringIndex(line)
		if at == nil {
			return out + line
		}
		open := line[at[0]:at[1]]
		rest := line[at[1]:]
		end := -1
		for _, c := range ticks.FindAllStringIndex(rest, -1) {
			if rest[c[0]:c[1]] == open {
				end = c[1]
				break
			}
		}
		if end < 0 {
			return out + line // not a span: the backticks are text
		}
		out, line = out+line[:at[0]]+"CODE", rest[end:]
	}
}

var (
	own   = strings.NewReplacer("<details>", "", "</details>", "", "<summary>", "", "</summary>", "", "**", "")
	heads = regexp.MustCompile(`(?m)^#{3,4} `)
	rule  = regexp.MustCompile(`(?m)^(\|( before \|| after \||---\|| )*)$`)
	alive = regexp.MustCompile("[<>@#!*_~`\\\\\\[\\]&$^]|://|www\\.[^ \n]|(?i)gh-[0-9]|\\b[0-9a-f]{7,}\\b|(?m)^ *[/=]")
)

// inert fails where something outside of code may come alive.
func inert(t *testing.T, text string) {
	t.Helper()
	outside := heads.ReplaceAllString(own.Replace(live(t, text)), "")
	if found := alive.FindAllString(rule.ReplaceAllString(outside, ""), -1); len(found) > 0 {
		t.Errorf("alive: %q in\n%s", found, outside)
	}
	cells := -1
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "| ") {
			cells = -1
			continue
		}
		if n := strings.Count(line, "|"); cells < 0 {
			cells = n
		} else if n != cells {
			t.Errorf("%d bars and not %d: %s", n, cells, line)
		}
	}
}

func TestMarkdownIsInert(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) < 5 {
		t.Fatalf("%d cases: %v", len(names), err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := archived(t, a).Markdown(&got); err != nil {
				t.Fatal(err)
			}
			inert(t, got.String())
		})
	}
	for _, bad := range []string{"@acme", "`@acme", "``x` @acme", "<b>", "#1", "```\n@acme", "a ` b", "deadbeef", "[x](y)", "/merge"} {
		t.Run("sees "+bad, func(t *testing.T) {
			inner := &testing.T{}
			inert(inner, bad)
			if !inner.Failed() {
				t.Errorf("%q passes for inert", bad)
			}
		})
	}
}

// FuzzMarkdownIsInert lets a plan say anything everywhere.
func FuzzMarkdownIsInert(f *testing.F) {
	data, err := os.ReadFile("testdata/hostile.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		f.Add(strings.TrimSuffix(line, "\n"))
	}
	for _, s := range []string{"`", "``", " ` ", "(", ")", "(`", "davit x `", "davit plan: `a", "a`b``c", "\\", "|", "\\|", ",;:.", "-", "…", "", "\x00", "\xff", "(@a)", "(#1):", "davit", "0000000", "@a,", "a www.", "…deadbeef…", "\"deadbeef\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n := 1.5
		p := &plan.Plan{
			Releases: []plan.Release{
				{Release: "a/" + s, Change: plan.Modify, From: s, To: s + "2", Metrics: []plan.Metric{{Name: s, To: &n}}, Weights: &plan.Weights{From: s, To: "x" + s},
					Runtime: &plan.Edit{From: s, To: s + s}, Image: &plan.Image{State: plan.Built, Digest: s},
					Objects: []plan.Object{{Change: plan.Add, Kind: s, Name: s, Fields: []plan.Field{{To: &s}}}, {Change: plan.Modify, Kind: s, Name: s, Fields: []plan.Field{{Path: s, From: &s, To: &s}, {Path: s, To: &s}}}}},
				{Release: "b/x", Change: plan.Add, To: s, Model: &plan.Edit{To: s}},
			},
			Trainings: []plan.Training{{Training: s, Change: plan.Broken, Environment: s, Note: s}},
			Findings:  []plan.Finding{{Level: plan.Blocks, Release: s, Gate: s, Message: s, Fields: []plan.Field{{Path: s, From: &s}}}, {Level: plan.Holds, Release: s, Gate: s}},
		}
		var got bytes.Buffer
		if err := p.Markdown(&got); err != nil {
			t.Fatal(err)
		}
		if err := plan.Block(&got, "Title", s, 5000); err != nil {
			t.Fatal(err)
		}
		inert(t, got.String())
	})
}

// many is a registry with releases that stand on one runtime.
func many(t testing.TB, n int) fstest.MapFS {
	files := example(t)
	serving := files["releases/iris/serving.yaml"].Data
	for i := range n {
		dir := fmt.Sprintf("releases/r%04d/", i)
		files[dir+"serving.yaml"] = &fstest.MapFile{Data: serving}
		files[dir+"production.yaml"] = files["releases/iris/production.yaml"]
	}
	return files
}

func edited(files fstest.MapFS, name, from, to string) fstest.MapFS {
	out := maps.Clone(files)
	out[name] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(string(files[name].Data), from, to))}
	return out
}

func compared(t testing.TB, before, after fstest.MapFS, opts plan.Options) *plan.Plan {
	t.Helper()
	p, err := plan.New(load(t, before), load(t, after), opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestSharedChange wants what is the same in a thousand releases told once.
func TestSharedChange(t *testing.T) {
	files := many(t, 1000)
	p := compared(t, files, edited(files, "runtimes/iris-server/0.1.0/deployment.yaml", "periodSeconds: 2", "periodSeconds: 3"), plan.Options{})
	var text, page bytes.Buffer
	if err := p.Text(&text); err != nil {
		t.Fatal(err)
	}
	if err := p.Markdown(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"the same in 1000 more: r0000, r0001", "and 988 more\n", "1001 releases of production change by shared files and go all at once", "1002 to change"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	if n := strings.Count(page.String(), "readinessProbe"); n != 2 || page.Len() > 3000 {
		t.Errorf("told %d times in %d bytes, once for each environment is enough:\n%s", n, page.Len(), page.String())
	}
}

// TestMarkdownIsBounded wants a comment that a forge takes, and that what is left out is told.
func TestMarkdownIsBounded(t *testing.T) {
	const n = 120
	files := many(t, n)
	after := maps.Clone(files)
	for i := range n {
		name := fmt.Sprintf("releases/r%04d/serving.yaml", i)
		text := fmt.Sprintf("replicas: 2\n  env: {A: %q, B: %q, C: %q}", strings.Repeat("é|`", 40+i), strings.Repeat("b", 200), strings.Repeat("c", 200))
		after[name] = &fstest.MapFile{Data: bytes.ReplaceAll(files[name].Data, []byte("replicas: 1"), []byte(text))}
	}
	p := compared(t, files, after, plan.Options{})
	for _, limit := range []int{plan.MaxMarkdown, 20_000, 3_000} {
		var page bytes.Buffer
		if err := p.MarkdownWithin(&page, limit); err != nil {
			t.Fatal(err)
		}
		if page.Len() > limit {
			t.Errorf("%d bytes, at most %d", page.Len(), limit)
		}
		told := regexp.MustCompile(`Left out for length:\*\* ([0-9]+) releases`).FindStringSubmatch(page.String())
		shown := strings.Count(page.String(), "\n#### ")
		if told == nil || told[1] != fmt.Sprint(n-shown) {
			t.Errorf("%d of %d are shown, and told is %q", shown, n, told)
		}
		inert(t, page.String())
	}
	// All releases fit, their diffs do not.
	p = compared(t, files, edited(edited(files, "releases/r0000/serving.yaml", "replicas: 1", "replicas: 1\n  env: {A: \""+strings.Repeat("x", 70_000)+"\"}"),
		"releases/r0001/serving.yaml", "replicas: 1", "replicas: 1\n  env: {A: \""+strings.Repeat("x\\n", 200)+"\"}"), plan.Options{})
	var page bytes.Buffer
	if err := p.Markdown(&page); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page.String(), "**Left out for length:** the whole diffs of 1 release.") || !strings.Contains(page.String(), "<details>") || page.Len() > plan.MaxMarkdown {
		t.Errorf("%d bytes:\n%s", page.Len(), page.String())
	}
}

// TestOrder wants the same bytes whatever order maps are read in.
func TestOrder(t *testing.T) {
	a, err := txtar.ParseFile("testdata/releases.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var first bytes.Buffer
	archived(t, a).Markdown(&first)
	for range 3 {
		var again bytes.Buffer
		if archived(t, a).Markdown(&again); again.String() != first.String() {
			t.Fatal("another order")
		}
	}
}

// TestFromNothing adds everything.
func TestFromNothing(t *testing.T) {
	for _, before := range []*registry.Registry{nil, {}} {
		p, err := plan.New(before, load(t, example(t)), plan.Options{})
		if err != nil || p.Totals.Add != 2 || p.Totals.Objects.Add != 4 || !p.Changes() {
			t.Errorf("%+v, %v", p.Totals, err)
		}
	}
}

// TestNothing says that nothing changes.
func TestNothing(t *testing.T) {
	p := compared(t, example(t), example(t), options())
	var text, page bytes.Buffer
	p.Text(&text)
	p.Markdown(&page)
	if p.Changes() || text.String() != "no changes\n" || !strings.HasPrefix(page.String(), "### davit plan: no changes\n") {
		t.Errorf("%s%s", text.String(), page.String())
	}
}

// TestMatch leaves out what was not asked for.
func TestMatch(t *testing.T) {
	a, err := txtar.ParseFile("testdata/policy.txtar")
	if err != nil {
		t.Fatal(err)
	}
	before := laid(example(t), a, "before")
	opts := options()
	opts.Match = func(k registry.Key) bool { return k == registry.Key{Environment: "staging", Name: "iris"} }
	p := compared(t, before, laid(before, a, "after"), opts)
	for _, f := range p.Findings {
		if f.Environment == "production" || f.Kind == plan.KindGate {
			t.Errorf("%+v", f)
		}
	}
	if len(p.Releases) != 0 {
		t.Errorf("%+v", p.Releases)
	}
}
