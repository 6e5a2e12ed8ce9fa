package made_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/made"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
)

var update = flag.Bool("update", false, "write the golden files anew")

// files are the registry package's base and its trainings, with gates of production.
func files(t *testing.T) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	for _, name := range []string{"base.txtar", "load/training.txtar"} {
		a, err := txtar.ParseFile(filepath.Join("../../registry/testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range a.Files {
			if f.Name != "want" && f.Name != "models/iris/training/faulty.yaml" {
				out[f.Name] = &fstest.MapFile{Data: f.Data}
			}
		}
	}
	out["models/iris/model.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: davit.dev/v1alpha1\nkind: Model\nspec:\n  gates: {production: {metrics: {accuracy: {min: 0.9, maxDropFromServing: 0.01}, latency: {max: 20}, fairness: {min: 1}}}}\n")}
	return out
}

func load(t *testing.T, fsys fstest.MapFS) *registry.Registry {
	t.Helper()
	models, err := registry.Load(fsys)
	if err != nil || len(models.Faults) > 0 {
		t.Fatalf("%v %v", err, models.Faults)
	}
	return models
}

// iris is what a run of iris/tune made, rose that of a team's training.
func result(t *testing.T, models *registry.Registry, key string) made.Made {
	t.Helper()
	training := models.Trainings[key]
	hash, err := training.RunHash(models.FS())
	if err != nil {
		t.Fatal(err)
	}
	began := time.Date(2026, 11, 27, 1, 2, 3, 0, time.UTC)
	commit := strings.Repeat("c0ffee12", 5)
	return made.Made{
		Training: training, Version: "v3",
		Run: gitops.Run{Hash: hash, Name: training.RunName(hash), Training: key, Environment: training.Environment.Name, Commit: commit, Started: began},
		Result: image.RunResult{Run: training.RunName(hash), Hash: hash, Digest: "sha256:" + strings.Repeat("ab", 32), Ended: began.Add(90 * time.Minute),
			Version: registry.ModelVersionSpec{
				Format: "safetensors", Architecture: "mlp", Parameters: 163, Precision: "f32",
				Files:   []registry.File{{Path: "model.safetensors", SHA256: strings.Repeat("12", 32), Size: 1234}, {Path: "sub/config.json", SHA256: strings.Repeat("34", 32), Size: 2}},
				Metrics: map[string]float64{"accuracy": 0.95, "latency": 25, "loss": 0.125},
				// what a trainer says of where it comes from counts for nothing
				Lineage: registry.Lineage{TrainedBy: "someone", Commit: "else"},
			}},
	}
}

func serving() []made.Serving {
	min, drop, max := 0.9, 0.01, 20.0
	return []made.Serving{
		{Release: registry.Key{Environment: "production", Name: "iris"}, Version: "v1", Metrics: map[string]float64{"accuracy": 0.97, "latency": 30, "loss": 0.25},
			Gates: map[string]registry.MetricGate{"accuracy": {Min: &min, MaxDropFromServing: &drop}, "latency": {Max: &max}, "fairness": {Min: &min}}},
		{Release: registry.Key{Environment: "staging", Name: "iris"}, Version: "v2"},
	}
}

func TestText(t *testing.T) {
	models := load(t, files(t))
	m := result(t, models, "iris/tune")
	name, text, err := m.File()
	if err != nil {
		t.Fatal(err)
	}
	title, body := m.PullRequest(serving())
	golden(t, "testdata/iris.txtar", &txtar.Archive{Files: []txtar.File{
		{Name: name, Data: text}, {Name: "message", Data: []byte(m.Message())}, {Name: "title", Data: []byte(title + "\n")}, {Name: "body", Data: []byte(body)},
	}})
}

func golden(t *testing.T, name string, got *txtar.Archive) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, txtar.Format(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(txtar.Format(got)) {
		t.Errorf("%s differs; go test -update writes it anew. got:\n%s", name, txtar.Format(got))
	}
}

// TestFileLoads reads what is written, at the root and in a team's folder.
func TestFileLoads(t *testing.T) {
	for key, place := range map[string]string{"iris/tune": "models/iris/versions/v3.yaml", "rose/from-iris": "teams/roses/models/rose/versions/v3.yaml"} {
		fsys := files(t)
		m := result(t, load(t, fsys), key)
		name, text, err := m.File()
		if err != nil || name != place {
			t.Fatalf("%s: %v", name, err)
		}
		fsys[name] = &fstest.MapFile{Data: text}
		v := load(t, fsys).Models[m.Training.Model].Versions["v3"]
		if v == nil {
			t.Fatalf("%s has no version v3", m.Training.Model)
		}
		if l := v.Spec.Lineage; l.TrainedBy != m.Run.Name || l.Commit != m.Run.Commit || l.BaseVersion != m.Training.BaseVersion.String() {
			t.Errorf("%s: lineage %+v", key, l)
		}
		if want := "oci://" + m.Training.Images + "/" + m.Training.Model + "@" + m.Result.Digest + "/model.safetensors"; v.Spec.Files[0].Source != want {
			t.Errorf("%s: source %s, want %s", key, v.Spec.Files[0].Source, want)
		}
		if v.Spec.Metrics["accuracy"] != 0.95 || v.Spec.Format != "safetensors" || len(v.Spec.Datasets) != len(m.Training.Spec.Datasets) {
			t.Errorf("%s: %+v", key, v.Spec)
		}
	}
}

// TestUnsound makes no file that the registry would find a fault in.
func TestUnsound(t *testing.T) {
	models := load(t, files(t))
	for want, spoil := range map[string]func(*made.Made){
		`version "../x" is not`:                   func(m *made.Made) { m.Version = "../x" },
		"its image's digest":                      func(m *made.Made) { m.Result.Digest = "latest" },
		"is not a relative path within the model": func(m *made.Made) { m.Result.Version.Files[0].Path = "../model" },
		"is not 64 lower-case hex digits":         func(m *made.Made) { m.Result.Version.Files[0].SHA256 = "x" },
		"spec.files is missing or empty":          func(m *made.Made) { m.Result.Version.Files = nil },
	} {
		m := result(t, models, "iris/tune")
		spoil(&m)
		if _, _, err := m.File(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestServingOf takes the bounds from the gates of the release's environment and of its model.
func TestServingOf(t *testing.T) {
	models := load(t, files(t))
	s := made.ServingOf(models.Release(registry.Key{Environment: "production", Name: "iris"}))
	if s.Version != "v1" || s.Gates["accuracy"].Min == nil || *s.Gates["accuracy"].MaxDropFromServing != 0.01 {
		t.Errorf("%+v", s)
	}
	if s := made.ServingOf(models.Release(registry.Key{Environment: "staging", Name: "iris"})); s.Version != "v2" || len(s.Gates) > 0 {
		t.Errorf("%+v", s)
	}
}

var allowed = regexp.MustCompile(`^[-A-Za-z0-9 .,:'*|–\n]*$`)

// bare is Markdown with each code replaced by a C: code ends at the next run of as many backticks as it began with.
func bare(s string) string {
	var out strings.Builder
	for s != "" {
		before, rest, found := strings.Cut(s, "`")
		out.WriteString(before)
		if !found {
			break
		}
		after := strings.TrimLeft(rest, "`")
		n := 1 + len(rest) - len(after)
		for end := 0; ; {
			i := strings.IndexByte(after[end:], '`')
			if i < 0 {
				return out.String() + "`" // never closed
			}
			tail := strings.TrimLeft(after[end+i:], "`")
			if len(after)-end-i-len(tail) == n {
				s = tail
				break
			}
			end = len(after) - len(tail)
		}
		out.WriteByte('C')
	}
	return out.String()
}

// TestHostile lets a trainer and a spec say what they like: outside of code there are only plain words, a row has the cells
// of its head, trailers are the last paragraph, and the text is bounded.
func TestHostile(t *testing.T) {
	models := load(t, files(t))
	for _, bad := range []string{"a|b", "`@acme`", "``x` @acme", "<img src=x>", "x\n\n# y\n\nDavit-Run: other", "#1", "[x](http://y)", "x\u202ey", strings.Repeat("é|@", 5000)} {
		m := result(t, models, "iris/tune")
		m.Result.Version.Metrics = map[string]float64{bad: 1e300, "accuracy": 1}
		training := *m.Training
		training.Spec.Accelerator = bad
		training.Spec.Hyperparameters = map[string]registry.Hyperparameter{bad: {Arg: registry.Arg{Value: bad}}}
		training.Spec.Datasets = nil
		for range 1000 {
			training.Spec.Datasets = append(training.Spec.Datasets, registry.Dataset{Name: bad, URI: bad})
		}
		m.Training = &training
		s := serving()
		s[0].Metrics = map[string]float64{bad: 2}
		for i := range 1000 {
			s[1].Metrics = map[string]float64{}
			s = append(s, s[i%2])
			m.Result.Version.Metrics[bad+strings.Repeat("x", i%60)] = 1
		}
		_, body := m.PullRequest(s)
		if len([]rune(body)) > 65_536 {
			t.Errorf("%.20q: %d characters", bad, len([]rune(body)))
		}
		for _, line := range strings.Split(body, "\n") { // no code goes on in the next line
			if !allowed.MatchString(bare(line)) {
				t.Errorf("%.20q: outside of code: %.200q", bad, bare(line))
				break
			}
		}
		columns := 0
		for _, line := range strings.Split(body, "\n") {
			if !strings.HasPrefix(line, "|") {
				columns = 0
				continue
			}
			if n := strings.Count(line, "|"); columns != 0 && n != columns {
				t.Errorf("%.20q: %d bars, want %d: %.200s", bad, n, columns, line)
			}
			columns = strings.Count(line, "|")
		}
		_, message, _ := strings.Cut(m.Message(), "\n\n")
		for name, want := range map[string]string{made.RunTrailer: m.Run.Name, made.TrainingTrailer: "iris/tune", made.VersionTrailer: "iris@v3"} {
			if got, _ := (gitops.Commit{Body: message}).Trailer(name); got != want || strings.Count(message, "\n"+name+": ") != 1 {
				t.Errorf("%.20q: %s is %q, want %q", bad, name, got, want)
			}
		}
	}
}
