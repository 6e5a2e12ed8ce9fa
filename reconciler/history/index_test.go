package history

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// edits are contents that files may get; "" removes one.
func edits() map[string][]string {
	all := map[string][]string{
		"davit.yaml":                               {spec("Registry", "{images: example.com/m}"), spec("Registry", "{images: example.com/m}"), spec("Registry", "{images: example.com/n}"), "a: [", ""},
		"environments/staging/environment.yaml":    {spec("Environment", `{namespace: production, runtimes: {custom: "1.0"}}`), spec("Environment", `{runtimes: {custom: "1.0"}}`)},
		"environments/production/environment.yaml": {spec("Environment", `{runtimes: {custom: "1.0"}}`), spec("Environment", `{runtimes: {custom: "1.0"}, bake: 2m}`), "a: ["},
		"runtimes/custom/1.0/kustomization.yaml":   {"resources: []\n", "resources: []\n# x\n"},
		"README.md":                                {"x", "y", ""},
	}
	for _, model := range []string{"models/iris", "teams/a/models/iris", "teams/b/models/rose"} {
		all[model+"/model.yaml"] = []string{spec("Model", "{}"), spec("Model", "{task: x}"), ""}
		for _, v := range []string{"v1", "v2"} {
			all[model+"/versions/"+v+".yaml"] = []string{version(""), version(""), version("") + "# x\n", "a: [", ""}
		}
	}
	for _, release := range []string{"releases/iris", "teams/a/releases/iris", "teams/a/releases/rose", "teams/b/releases/chat"} {
		all[release+"/serving.yaml"] = []string{
			spec("Serving", "{model: iris, runtime: custom}"), spec("Serving", "{model: iris, runtime: custom}"), spec("Serving", "{model: rose, runtime: custom}"),
			spec("Serving", "{model: iris, runtime: custom, dependsOn: [chat]}"), spec("Serving", "{model: iris, runtime: custom, dependsOn: [rose]}"), spec("Serving", "{}"), "",
		}
		for _, env := range []string{"staging", "production"} {
			all[release+"/"+env+".yaml"] = []string{spec("Release", "{version: v1}"), spec("Release", "{version: v2}"), spec("Release", "{version: v2, replicas: 2}"), spec("Release", "{verison: v1}"), ""}
		}
		all[release+"/kustomization.yaml"] = []string{"", "", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"}
	}
	return all
}

// fleet is iris and, in two teams' folders, releases that name one another.
func fleet() files {
	all, f := edits(), iris()
	for name, i := range map[string]int{
		"teams/b/models/rose/model.yaml": 0, "teams/b/models/rose/versions/v1.yaml": 0, "teams/b/models/rose/versions/v2.yaml": 0,
		"teams/a/releases/rose/serving.yaml": 2, "teams/a/releases/rose/production.yaml": 0, "teams/a/releases/rose/staging.yaml": 1,
		"teams/b/releases/chat/serving.yaml": 4, "teams/b/releases/chat/production.yaml": 0, "teams/b/releases/chat/staging.yaml": 0,
	} {
		f[name] = all[name][i]
	}
	return f
}

// TestIndexIsTheWalk grows, rewrites and merges a branch at random. After each step an index that grew with it says what
// loading the registry at every commit says, one that was read from its file too, whichever way it reads new commits.
func TestIndexIsTheWalk(t *testing.T) {
	all := edits()
	names := slices.Sorted(maps.Keys(all))
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 7))
			r := newRepo(t)
			trees := map[string]files{}
			tip := r.commit("main", "first", fleet())
			trees[tip] = fleet()
			grown, seen := New(Config{Source: r.open()}), 0
			grown.share = []int{0, share, 1e6, 1e6}[seed]
			for step := range 8 {
				if back := random.IntN(12); back < 3 && step > 0 { // rewritten
					if chain := strings.Fields(r.git("rev-list", "--first-parent", tip)); len(chain) > back {
						tip = chain[back]
						r.git("update-ref", "refs/heads/main", tip)
					}
				}
				for n := range 1 + random.IntN(6) {
					tree := trees[tip]
					for range 1 + random.IntN(3) {
						name := names[random.IntN(len(names))]
						tree = tree.with(name, all[name][random.IntN(len(all[name]))])
					}
					if random.IntN(4) == 0 {
						tree = fleet()
					}
					parents := []string{tip}
					if random.IntN(4) == 0 { // what the side branch holds comes with the merge
						parents = append(parents, r.commit("side", "side", tree.with("README.md", "side"), tip))
					}
					tip = r.commit("main", fmt.Sprintf("step %d.%d", step, n), tree, parents...)
					trees[tip] = tree
				}
				want := walked(t, r, tip)
				seen += len(want)
				sameChanges(t, "the index that grew", grown, tip, want)
				read := New(Config{Source: r.open()})
				read.share = []int{0, 1e6}[random.IntN(2)]
				sameChanges(t, "the index that was read", read, tip, want)
				chain := strings.Fields(r.git("rev-list", "--first-parent", tip))
				older := chain[random.IntN(len(chain))]
				sameChanges(t, "an older tip", grown, older, walked(t, r, older))
				if side := r.git("for-each-ref", "--format=%(objectname)", "refs/heads/side"); side != "" {
					sameChanges(t, "a side branch", grown, side, walked(t, r, side))
					sameChanges(t, "the branch after it", grown, tip, want)
				}
				if t.Failed() {
					t.FailNow()
				}
			}
			if seen < 100 {
				t.Errorf("only %d changes seen: the edits break too much", seen)
			}
		})
	}
}

// TestMendedByAnother has a release change while it is broken by another one, and be mended by it, commit by commit.
func TestMendedByAnother(t *testing.T) {
	r := newRepo(t)
	whole := fleet().with("teams/a/releases/rose/serving.yaml", spec("Serving", "{model: rose, runtime: custom}"))
	tip := r.commit("main", "first", whole)
	h := New(Config{Source: r.open()})
	h.share = 1e6
	gone := whole.with("teams/a/releases/rose/production.yaml", "")
	for _, tree := range []files{
		whole, gone, gone.with("teams/b/releases/chat/production.yaml", spec("Release", "{version: v2}")),
		whole.with("teams/b/releases/chat/production.yaml", spec("Release", "{version: v2}")),
	} {
		tip = r.commit("main", "next", tree, tip)
		sameChanges(t, "read one by one", h, tip, walked(t, r, tip))
	}
	changes, err := h.Changes(t.Context(), gitops.ParseHash(tip), Filter{Environment: "production", Release: "chat"})
	if err != nil || len(changes) != 2 || changes[0].Commit != tip || changes[0].From != "v1" || changes[0].To != "v2" {
		t.Errorf("%+v, %v", changes, err)
	}
}

func sameChanges(t *testing.T, what string, h *History, tip string, want []string) {
	t.Helper()
	changes, err := h.Changes(t.Context(), gitops.ParseHash(tip), Filter{})
	if err != nil {
		t.Fatal(what, err)
	}
	var got []string
	for _, c := range changes {
		got = append(got, line(c.Commit, c.Release.String(), c.From, c.To))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s differs:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func line(commit, release, from, to string) string {
	return fmt.Sprintf("%.12s %s %q → %q", commit, release, from, to)
}

// sight is a release at a commit; of a broken one nothing is known.
type sight struct {
	version, key string
	broken       bool
}

// walked is the plain way: the whole registry at each commit, compared from commit to commit, newest first.
func walked(t *testing.T, r *repo, tip string) (lines []string) {
	t.Helper()
	source := r.open()
	last := map[registry.Key]sight{} // the last sound one
	for _, commit := range slices.Backward(strings.Fields(r.git("rev-list", "--first-parent", tip))) {
		now := seenAt(t, source, commit)
		keys := slices.Collect(maps.Keys(now))
		for key := range last {
			if _, there := now[key]; !there {
				keys = append(keys, key)
			}
		}
		slices.SortFunc(keys, compare)
		var here []string
		for _, key := range keys {
			if n := now[key]; !n.broken && n != last[key] {
				here = append(here, line(commit, key.String(), last[key].version, n.version))
				if last[key] = n; n.version == "" {
					delete(last, key)
				}
			}
		}
		lines = append(here, lines...)
	}
	return lines
}

func seenAt(t *testing.T, source *gitops.Source, commit string) map[registry.Key]sight {
	t.Helper()
	snapshot, err := source.Snapshot(t.Context(), gitops.ParseHash(commit))
	if err != nil {
		t.Fatal(err)
	}
	out := map[registry.Key]sight{}
	models, err := registry.Load(snapshot)
	if errors.Is(err, registry.ErrNoRegistry) {
		return out
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range models.Releases {
		key, err := r.InputKey(snapshot)
		if err != nil {
			t.Fatal(err)
		}
		out[r.Key()] = sight{version: r.ModelVersion.Name, key: key}
	}
	for key := range models.Broken {
		out[key] = sight{broken: true}
	}
	return out
}

// TestIndexFile is made anew whatever happened to it, and nothing else in the repository is written.
func TestIndexFile(t *testing.T) {
	r := newRepo(t)
	first := r.commit("main", "first", iris())
	tip := r.commit("main", "v2", iris().with("releases/iris/production.yaml", spec("Release", "{version: v2}")), first)
	want := walked(t, r, tip)
	before := listing(t, r.dir)
	sameChanges(t, "the first time", New(Config{Source: r.open()}), tip, want)
	name := filepath.Join(r.dir, ".git", "davit", "history-1")
	sound, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if after := listing(t, r.dir); len(after) != len(before)+2 {
		t.Errorf("%v was written, want the index and its folder", after)
	}
	flipped := slices.Clone(sound)
	flipped[len(flipped)/2] ^= 1
	foreign := New(Config{Source: r.open()}).load()
	foreign.entries[1].records[0].key[0] ^= 1 // what a davit with other keys would have written
	for what, data := range map[string][]byte{"empty": {}, "cut": sound[:len(sound)/2], "flipped": flipped, "older": []byte("davit history 0\n"), "of another davit": foreign.encode()} {
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
		next := r.commit("main", what, iris().with("README.md", what).with("models/iris/model.yaml", spec("Model", "{task: x}")), tip)
		sameChanges(t, what, New(Config{Source: r.open()}), next, walked(t, r, next))
		if x, err := decode(must(os.ReadFile(name))); err != nil || len(x.entries) != 3 {
			t.Errorf("%s: not made anew: %v", what, err)
		}
	}
	// A folder that can't be made: a file is in its place.
	if err := os.RemoveAll(filepath.Dir(name)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Dir(name), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	sameChanges(t, "without a file", New(Config{Source: r.open()}), tip, want)
}

// must gives what is checked anyway.
func must[T any](v T, _ error) T { return v }

func listing(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error {
		names = append(names, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestShallow tells where the clone ends, and what was before once it is deepened.
func TestShallow(t *testing.T) {
	r := newRepo(t)
	first := r.commit("main", "first", iris())
	second := r.commit("main", "v2", iris().with("releases/iris/production.yaml", spec("Release", "{version: v2}")), first)
	tip := r.commit("main", "back", iris(), second)
	clone := &repo{t: t, dir: filepath.Join(t.TempDir(), "clone")}
	r.git("clone", "-q", "--depth", "2", "file://"+r.dir, clone.dir)
	h := New(Config{Source: clone.open()})
	changes, err := h.Changes(t.Context(), gitops.ParseHash(tip), Filter{Environment: "production"})
	if err != nil || len(changes) != 2 || changes[0].Cut || !changes[1].Cut || changes[1].Commit != second {
		t.Errorf("%+v, %v", changes, err)
	}
	if cut, err := h.Cut(t.Context(), gitops.ParseHash(tip)); err != nil || cut != second {
		t.Errorf("ends at %s, %v", cut, err)
	}
	clone.git("fetch", "-q", "--unshallow")
	sameChanges(t, "a deepened clone", New(Config{Source: clone.open()}), tip, walked(t, r, tip))
}

// FuzzDecode reads any bytes without harm, and what it reads it writes the same.
func FuzzDecode(f *testing.F) {
	x := newIndex()
	x.entries = append(x.entries, entry{records: []record{{release: x.id("production/iris"), version: x.id("v1"), model: x.id("models/iris")}, {kind: same}}})
	whole := x.encode()
	f.Add(whole[len(magic) : len(whole)-4])
	f.Fuzz(func(t *testing.T, data []byte) {
		sealed := seal(append([]byte(magic), data...))
		x, err := decode(sealed)
		if err != nil {
			return
		}
		v := x.view(len(x.entries))
		v.changes(Filter{})
		if _, err := decode(x.encode()); err != nil {
			t.Error(err)
		}
	})
}
