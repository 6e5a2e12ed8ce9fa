package plan_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/davit-dev/davit/reconciler/plan"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
)

var update = flag.Bool("update", false, "rewrite the golden sections")

// eve is when the tests take place.
var eve = time.Date(2026, 12, 23, 12, 0, 0, 0, time.UTC)

// example is the example's registry in memory.
func example(t testing.TB) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	root := os.DirFS("../../examples/iris/registry")
	err := fs.WalkDir(root, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root, name)
		out[name] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// laid are files with those of a section laid over them; an empty one takes the file away.
func laid(under fstest.MapFS, a *txtar.Archive, section string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, f := range under {
		out[name] = f
	}
	for _, f := range a.Files {
		name, ok := strings.CutPrefix(f.Name, section+"/")
		switch {
		case !ok:
		case len(f.Data) == 0:
			delete(out, name)
		default:
			out[name] = &fstest.MapFile{Data: f.Data}
		}
	}
	return out
}

func load(t testing.TB, fsys fs.FS) *registry.Registry {
	t.Helper()
	models, err := registry.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return models
}

func options() plan.Options {
	return plan.Options{
		Now: eve,
		Facts: func(r *registry.Release) gate.Facts {
			return gate.Facts{Now: eve, HealthyIn: func(string) (time.Time, bool) { return eve.Add(-time.Hour), true }}
		},
		Built: func(v *registry.ModelVersion) (string, bool) {
			return map[string]string{"v1": "sha256:" + strings.Repeat("1", 64)}[v.Name], v.Name != "v3"
		},
	}
}

// archived is the plan of an archive's change, from the section before to the section after.
func archived(t testing.TB, a *txtar.Archive) *plan.Plan {
	t.Helper()
	before := laid(example(t), a, "before")
	p, err := plan.New(load(t, before), load(t, laid(before, a, "after")), options())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPlan compares what is written of a change with each archive's sections want.
func TestPlan(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) < 5 {
		t.Fatalf("%d cases: %v", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			p := archived(t, a)
			for i, f := range a.Files {
				var got bytes.Buffer
				switch f.Name {
				case "want.txt":
					err = p.Text(&got)
				case "want.md":
					err = p.Markdown(&got)
				case "want.json":
					enc := json.NewEncoder(&got)
					enc.SetIndent("", "  ")
					err = enc.Encode(p)
				default:
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if *update {
					a.Files[i].Data = got.Bytes()
				} else if d := diff.Diff("want", f.Data, "got", got.Bytes()); d != nil {
					t.Errorf("%s: %s", f.Name, d)
				}
			}
			if *update {
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
