package lineage

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/history"
	"github.com/davit-dev/davit/registry"
)

var update = flag.Bool("update", false, "write the golden files anew")

// files are the registry package's base and its trainings.
func files(t *testing.T) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	for _, name := range []string{"base.txtar", "load/training.txtar"} {
		a, err := txtar.ParseFile("../../registry/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range a.Files {
			if f.Name != "want" && f.Name != "models/iris/training/faulty.yaml" {
				out[f.Name] = &fstest.MapFile{Data: f.Data}
			}
		}
	}
	return out
}

// version adds one to the files.
func version(fsys fstest.MapFS, model, name string, lineage registry.Lineage, datasets ...registry.Dataset) {
	file := "models/" + model + "/versions/" + name + ".yaml"
	text, err := registry.VersionText(file, registry.ModelVersionSpec{
		Files:    []registry.File{{Path: "model.safetensors", Source: "s3://x/y", SHA256: strings.Repeat("ab", 32), Size: 1}},
		Datasets: datasets, Lineage: lineage, Metrics: map[string]float64{"accuracy": 0.95},
	})
	if err != nil {
		panic(err)
	}
	fsys[file] = &fstest.MapFile{Data: text}
}

func load(t *testing.T, fsys fstest.MapFS) *registry.Registry {
	t.Helper()
	models, err := registry.Load(fsys)
	if err != nil || len(models.Faults) > 0 {
		t.Fatalf("%v %v", err, models.Faults)
	}
	return models
}

const runName = "tune-153019b1"

// world has v3, made from v1 by a run of tune, and v4, made from v3.
func world(t *testing.T) Sources {
	fsys := files(t)
	alpaca := registry.Dataset{Name: "alpaca", URI: "s3://data/alpaca", SHA256: strings.Repeat("cd", 32)}
	elsewhere := alpaca
	elsewhere.URI = "gs://copy/alpaca"
	version(fsys, "iris", "v3", registry.Lineage{TrainedBy: runName, BaseVersion: "iris@v1", Commit: "c0ffee"}, alpaca)
	version(fsys, "iris", "v4", registry.Lineage{BaseVersion: "v3"}, elsewhere, registry.Dataset{Name: "own"})
	began := time.Date(2026, 11, 27, 1, 2, 3, 0, time.UTC)
	key := registry.Key{Environment: "production", Name: "iris"}
	return Sources{
		Registry: load(t, fsys),
		Runs: map[string]gitops.Run{
			"other": {Name: runName, Training: "rose/tune", State: gitops.RunFailed},
			"this": {Name: runName, Training: "iris/tune", Environment: "production", Commit: "c0ffee", State: gitops.RunSucceeded,
				Started: began, Ended: began.Add(time.Hour), Image: "127.0.0.1:5000/models/iris@sha256:ab"},
		},
		Past: []Period{{Release: key, From: began, Until: began.Add(time.Hour), Outcome: "RolledBack", Commit: "dead"}},
		At: func(commit, _ string) *registry.Registry {
			if commit != "c0ffee" {
				return nil
			}
			then := files(t)
			then["models/iris/training/tune.yaml"].Data = bytes.ReplaceAll(then["models/iris/training/tune.yaml"].Data, []byte("sha256:0000"), []byte("sha256:1234"))
			return load(t, then)
		},
	}
}

func TestGolden(t *testing.T) {
	s := world(t)
	g := New(s, s.Registry.Models["iris"].Versions["v3"])
	var text, data, drawn bytes.Buffer
	enc := json.NewEncoder(&data)
	enc.SetIndent("", " ")
	for _, err := range []error{g.Text(&text), enc.Encode(g), g.SVG(&drawn)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got := txtar.Format(&txtar.Archive{Files: []txtar.File{
		{Name: "text", Data: text.Bytes()}, {Name: "json", Data: data.Bytes()}, {Name: "svg", Data: drawn.Bytes()}}})
	const name = "testdata/iris.txtar"
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s differs; go test -update writes it anew. got:\n%s", name, got)
	}
	sound(t, g)
}

// TestCycle ends, and tells where the files lead in a circle.
func TestCycle(t *testing.T) {
	fsys := files(t)
	version(fsys, "iris", "a", registry.Lineage{BaseVersion: "b"})
	version(fsys, "iris", "b", registry.Lineage{BaseVersion: "c"})
	version(fsys, "iris", "c", registry.Lineage{BaseVersion: "a"})
	version(fsys, "iris", "self", registry.Lineage{BaseVersion: "iris@self"})
	for i, name := range []string{"x", "y", "z"} { // by runs
		version(fsys, "iris", name, registry.Lineage{BaseVersion: []string{"y", "z", "x"}[i], TrainedBy: "gone-" + strings.Repeat(strconv.Itoa(i), 8)})
	}
	models := load(t, fsys)
	for name, edges := range map[string]int{"a": 3, "self": 1, "x": 9} {
		g := New(Sources{Registry: models}, models.Models["iris"].Versions[name])
		cycles := 0
		for _, e := range g.Edges {
			if e.Cycle {
				cycles++
			}
		}
		var text strings.Builder
		if err := g.Text(&text); err != nil || cycles != 1 || len(g.Edges) != edges || !strings.Contains(text.String(), "a cycle") {
			t.Errorf("%s: %d cycles in %+v: %v\n%s", name, cycles, g.Edges, err, text.String())
		}
		sound(t, g)
	}
}

// TestStartsAgain has a training start from what it made before: its spec now is not the one of that run.
func TestStartsAgain(t *testing.T) {
	s := world(t)
	fsys := files(t)
	version(fsys, "iris", "v3", registry.Lineage{TrainedBy: runName, BaseVersion: "iris@v1", Commit: "c0ffee"})
	spec := fsys["models/iris/training/tune.yaml"]
	spec.Data = bytes.ReplaceAll(spec.Data, []byte("baseVersion: v1"), []byte("baseVersion: v3"))
	s.Registry = load(t, fsys)
	g := New(s, s.Registry.Models["iris"].Versions["v3"])
	if g.Node("training:iris/tune c0ffee") == nil || g.Node("training:iris/tune") == nil {
		t.Errorf("%+v", g.Nodes)
	}
	sound(t, g)
}

// TestDeep is bounded both ways, and says so.
func TestDeep(t *testing.T) {
	fsys := files(t)
	for i := range 60 {
		base := ""
		if i > 0 {
			base = fmt.Sprintf("n%d", i-1)
		}
		version(fsys, "iris", fmt.Sprintf("n%d", i), registry.Lineage{BaseVersion: base})
	}
	for i := range MaxNodes + 10 {
		version(fsys, "iris", fmt.Sprintf("w%d", i), registry.Lineage{BaseVersion: "v2"})
	}
	models := load(t, fsys)
	for name, want := range map[string]int{"n30": 2*MaxDepth + 1, "v2": MaxNodes} {
		g := New(Sources{Registry: models}, models.Models["iris"].Versions[name])
		if len(g.Nodes) != want || !g.Cut {
			t.Errorf("%s: %d nodes, want %d, cut %v", name, len(g.Nodes), want, g.Cut)
		}
		sound(t, g)
	}
	if g := New(Sources{Registry: models}, models.Models["iris"].Versions["n10"]); !g.Cut || g.Node("version:iris@n0") == nil || g.Node("version:iris@n30") == nil || g.Node("version:iris@n31") != nil {
		t.Errorf("n10: %d nodes, cut %v", len(g.Nodes), g.Cut)
	}
}

// TestHostile lets files and the ledger say what they like.
func TestHostile(t *testing.T) {
	for _, bad := range []string{`"><script>alert(1)</script>`, "]]></style><b>", "&lt;&amp;", "a\x1b[31m\nb", "\ufffe\uffff\x00", "\u202eevil", strings.Repeat("<é", 3000), "", "😀'"} {
		s := world(t)
		v := *s.Registry.Models["iris"].Versions["v3"]
		v.Spec.Datasets = []registry.Dataset{{Name: bad, URI: bad}, {Name: bad, URI: bad, SHA256: bad}}
		v.Spec.Lineage.BaseVersion = "x@" + bad
		s.Runs["this"] = gitops.Run{Name: runName, Training: "iris/" + bad, Message: bad, Commit: bad, State: gitops.RunState(bad)}
		g := New(s, &v)
		sound(t, g)
		var text strings.Builder
		if err := g.Text(&text); err != nil || strings.ContainsAny(text.String(), "\x1b\x00\u202e") {
			t.Errorf("%.20q: %v %q", bad, err, text.String())
		}
	}
}

// sound reads the drawing as XML and holds it against the graph: all boxes within the drawing, none on another, each edge
// from a box's right side to a box's left one, nothing that runs, and text within its box.
func sound(t *testing.T, g *Graph) {
	t.Helper()
	var first, second bytes.Buffer
	if g.SVG(&first) != nil || g.SVG(&second) != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("it is drawn otherwise the second time")
	}
	type rect struct{ x, y, w, h int }
	var page rect
	var rects []rect
	paths := 0
	starts, ends := map[[2]int]bool{}, map[[2]int]bool{}
	var ways [][8]int
	dec := xml.NewDecoder(&first)
	for {
		token, err := dec.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		attr := map[string]string{}
		for _, a := range e.Attr {
			attr[a.Name.Local] = a.Value
		}
		var r rect
		switch e.Name.Local {
		case "svg":
			fmt.Sscan(attr["width"]+" "+attr["height"], &page.w, &page.h)
		case "rect":
			fmt.Sscan(attr["x"]+" "+attr["y"]+" "+attr["width"]+" "+attr["height"], &r.x, &r.y, &r.w, &r.h)
			rects = append(rects, r)
			ends[[2]int{r.x, r.y + r.h/2}], starts[[2]int{r.x + r.w, r.y + r.h/2}] = true, true
		case "path":
			var p [8]int
			if n, _ := fmt.Sscanf(attr["d"], "M%d %d C%d %d %d %d %d %d", &p[0], &p[1], &p[2], &p[3], &p[4], &p[5], &p[6], &p[7]); n == 8 {
				ways, paths = append(ways, p), paths+1
			}
		case "title", "desc", "style", "defs", "marker", "text", "g":
		default:
			t.Errorf("an element %s", e.Name.Local)
		}
		for name := range attr {
			if strings.HasPrefix(name, "on") || name == "href" {
				t.Errorf("an attribute %s", name)
			}
		}
	}
	if len(rects) != len(g.Nodes) || paths != len(g.Edges) {
		t.Errorf("%d boxes and %d ways of %d nodes and %d edges", len(rects), paths, len(g.Nodes), len(g.Edges))
	}
	for i, a := range rects {
		if a.x < 0 || a.y < 0 || a.x+a.w > page.w || a.y+a.h > page.h {
			t.Errorf("box %+v is not within %+v", a, page)
		}
		for _, b := range rects[:i] {
			if a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h {
				t.Errorf("boxes %+v and %+v lie on one another", a, b)
			}
		}
	}
	for i, p := range ways {
		if !starts[[2]int{p[0], p[1]}] || !ends[[2]int{p[6], p[7]}] {
			t.Errorf("way %v hangs in the air", p)
		}
		if !g.Edges[i].Cycle && p[0] >= p[6] {
			t.Errorf("%+v goes back: %v", g.Edges[i], p)
		}
	}
}

// TestPastOf takes what served from outcomes, and what was asked for from the branch where there are none.
func TestPastOf(t *testing.T) {
	at := func(h int) time.Time { return time.Date(2026, 1, 1, h, 0, 0, 0, time.UTC) }
	change := func(env, to string, h int) history.Revision {
		return history.Revision{Change: history.Change{Release: registry.Key{Environment: env, Name: "iris"}, To: to, ToModel: "teams/x/models/iris", When: at(h)}}
	}
	noted := change("production", "v3", 2)
	noted.Events = []gitops.Event{{Outcome: "Healthy"}, {Outcome: "RolledBack"}}
	noted.Served = []history.Period{{From: at(3), Until: at(4)}, {From: at(6)}}
	other := change("staging", "v3", 1)
	other.ToModel = "models/rose"
	never := change("qa", "v3", 1)
	never.Events = []gitops.Event{{Outcome: "Failed"}} // before anything was applied
	got := PastOf([]history.Revision{change("staging", "v4", 9), change("staging", "v3", 5), noted, other, never}, &registry.ModelVersion{Model: "iris", Name: "v3"})
	text := ""
	for _, p := range got {
		text += fmt.Sprintf("%s %d-%d %v %s\n", p.Release, p.From.Hour(), p.Until.Hour(), p.Intent, p.Outcome)
	}
	if want := "production/iris 3-4 false RolledBack\nstaging/iris 5-9 true \nproduction/iris 6-0 false RolledBack\n"; text != want {
		t.Errorf("got\n%swant\n%s", text, want)
	}
}
