package observability_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/davit-dev/davit/reconciler/metrics"
)

var update = flag.Bool("update", false, "write METRICS.md anew")

type rules struct {
	Groups []struct {
		Rules []struct {
			Alert, Expr, For    string
			Labels, Annotations map[string]string
		}
	}
}

func read(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err == nil {
		err = yaml.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// TestPromtool has Prometheus' own tool check the rules, and every alert fire where it must and nowhere else.
func TestPromtool(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", "rules.yaml"}, {"test", "rules", "rules_test.yaml"}} {
		if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v (make deps installs it)\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestAlerts wants each alert tested both ways, and to say what is wrong and what to do.
func TestAlerts(t *testing.T) {
	var all rules
	read(t, "rules.yaml", &all)
	tests, err := os.ReadFile("rules_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, g := range all.Groups {
		for _, r := range g.Rules {
			seen++
			for _, name := range []string{r.Alert + " fires", r.Alert + " does not"} {
				if !strings.Contains(string(tests), "- name: "+name+"\n") {
					t.Errorf("rules_test.yaml: no test %q", name)
				}
			}
			if len(r.Annotations["summary"]) < 20 || len(r.Annotations["runbook"]) < 80 {
				t.Errorf("rules.yaml: %s does not say what is wrong and what to do", r.Alert)
			}
			if !slices.Contains([]string{"critical", "warning"}, r.Labels["severity"]) {
				t.Errorf("rules.yaml: %s has severity %q", r.Alert, r.Labels["severity"])
			}
		}
	}
	if seen == 0 {
		t.Error("rules.yaml: no alerts")
	}
}

// TestPrometheusRule wants the operator's object to hold the same as the plain file.
func TestPrometheusRule(t *testing.T) {
	var plain, object map[string]any
	read(t, "rules.yaml", &plain)
	read(t, "prometheusrule.yaml", &object)
	if spec, _ := object["spec"].(map[string]any); !reflect.DeepEqual(spec["groups"], plain["groups"]) {
		t.Error("prometheusrule.yaml: spec.groups is not what rules.yaml has; copy it")
	}
}

// names are the metrics of davit's that a query asks for.
var names = regexp.MustCompile(`\bdavit_[a-z_]+`)

// TestNames wants every metric in a query to be one that davit has.
func TestNames(t *testing.T) {
	known := map[string]bool{}
	for _, f := range metrics.New("").Reference() {
		known[f.Name] = true
		if f.Type == "histogram" {
			known[f.Name+"_bucket"], known[f.Name+"_sum"], known[f.Name+"_count"] = true, true, true
		}
	}
	for _, file := range []string{"rules.yaml", "rules_test.yaml", "dashboard.json"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := names.FindAllString(string(data), -1)
		for _, name := range found {
			if !known[name] {
				t.Errorf("%s: no metric is called %s", file, name)
			}
		}
		if len(found) == 0 {
			t.Errorf("%s: no metrics", file)
		}
	}
}

// TestDashboard wants panels that Grafana can place and ask: each with an id, a place that overlaps no other, a title, and
// queries of the chosen data source.
func TestDashboard(t *testing.T) {
	type place struct{ H, W, X, Y int }
	var d struct {
		UID, Title    string
		SchemaVersion int
		Panels        []struct {
			ID          int
			Type, Title string
			GridPos     place
			Datasource  struct{ UID string }
			Targets     []struct{ Expr, RefID string }
		}
	}
	data, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	if d.UID == "" || d.Title == "" || d.SchemaVersion < 30 || len(d.Panels) == 0 {
		t.Fatalf("dashboard.json: uid %q, title %q, schemaVersion %d, %d panels", d.UID, d.Title, d.SchemaVersion, len(d.Panels))
	}
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 || p.Title == "" {
			t.Errorf("dashboard.json: panel %q has id %d", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.GridPos.X+p.GridPos.W > 24 || p.GridPos.W <= 0 || p.GridPos.H <= 0 {
			t.Errorf("dashboard.json: panel %q is at %+v of 24 columns", p.Title, p.GridPos)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" {
					t.Fatalf("dashboard.json: panels %q and %q overlap", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" && (len(p.Targets) == 0 || p.Datasource.UID != "${datasource}") {
			t.Errorf("dashboard.json: panel %q asks %d queries of %q", p.Title, len(p.Targets), p.Datasource.UID)
		}
	}
}

// TestComponent builds what the component adds, as kubectl apply -k does.
func TestComponent(t *testing.T) {
	files := filesys.MakeFsInMemory()
	for _, name := range []string{"kustomization.yaml", "podmonitor.yaml", "prometheusrule.yaml", "dashboard.json"} {
		data, err := os.ReadFile(name)
		if err == nil {
			err = files.WriteFile("/observability/"+name, data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := files.WriteFile("/overlay/kustomization.yaml", []byte("namespace: davit-system\ncomponents: [../observability]\n")); err != nil {
		t.Fatal(err)
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, "/overlay")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range built.Resources() {
		got = append(got, r.GetNamespace()+" "+r.GetKind()+" "+r.GetName())
	}
	slices.Sort(got)
	want := []string{"davit-system ConfigMap davit-dashboard", "davit-system PodMonitor davit", "davit-system PrometheusRule davit"}
	if !slices.Equal(got, want) {
		t.Errorf("the component adds %q, want %q", got, want)
	}
}

// TestReference holds METRICS.md against the code; -update writes it.
func TestReference(t *testing.T) {
	var b strings.Builder
	b.WriteString("# davit's metrics\n\nWritten by `go test ./deploy/observability -update` from the code. Beside them are those of Go's runtime (`go_`)\n" +
		"and of the process (`process_`).\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, f := range metrics.New("").Reference() {
		if !strings.HasSuffix(f.Help, ".") || len(f.Help) < 20 {
			t.Errorf("%s: its help says nothing: %q", f.Name, f.Help)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.Name, f.Type, strings.Join(f.Labels, ", "), f.Help)
	}
	if *update {
		if err := os.WriteFile("METRICS.md", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile("METRICS.md"); err != nil || string(have) != b.String() {
		t.Errorf("METRICS.md is not what the code says (%v); go test ./deploy/observability -update", err)
	}
}
