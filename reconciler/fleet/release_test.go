package fleet_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/fleet"
	"github.com/davit-dev/davit/reconciler/plan"
	"github.com/davit-dev/davit/reconciler/web"
	"github.com/davit-dev/davit/registry"
)

// hostile is a commit's subject that would do harm where it is taken for HTML.
const hostile = `v3 <script>alert(1)</script> <img src=x onerror=alert(2)> "onmouseover=alert(3) {{.}}`

// written is what the simulated containers of v3 write.
const written = "weight: 3 values where 12 are wanted"

var staging, production = registry.Key{Environment: "staging", Name: "iris"}, registry.Key{Environment: "production", Name: "iris"}

// failed is a world whose staging is back at v1, by the commits of v1 and v3.
func failed(t *testing.T) (w *world, v1, v3 string) {
	w = newWorld(t, func(w *world) {
		w.edit("environments/staging/environment.yaml", "bake: 100ms", "bake: 100ms\n  drift: report")
		w.edit("releases/iris/production.yaml", "version: v1", "version: v1\n\n  promote: {from: staging, healthyFor: 1h}")
		w.edit("releases/iris/serving.yaml", "replicas: 1", "replicas: 1\n  env: {MODE: fast, TOKEN: {secret: hub, key: token}}")
	})
	v1 = w.git("rev-parse", "HEAD")
	for _, key := range []registry.Key{staging, production} {
		w.until(key.String()+" is healthy", func() bool {
			r := w.Release(t.Context(), fleet.Viewer{}, name, key)
			return r != nil && r.State == fleet.Well
		})
	}
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v3")
	w.edit("releases/iris/serving.yaml", "MODE: fast", "MODE: slow")
	v3 = w.commit(hostile)
	w.until("staging is back", func() bool {
		r := w.Release(t.Context(), fleet.Viewer{}, name, staging)
		return r.Held == "v3" && r.Phase == "RolledBack" && len(r.Live.Pods) == 1 && len(r.History) == 2 && r.Live.Pods[0].State == fleet.Well
	})
	return w, v1, v3
}

// whole is the page of a release, asked for until nothing is missing: a server may be slow.
func (w *world) whole(v fleet.Viewer, key registry.Key) (r *fleet.Release) {
	w.t.Helper()
	w.until(key.String()+" is told whole", func() bool {
		r = w.Release(w.t.Context(), v, name, key)
		return r != nil && len(r.Notes) == 0
	})
	return r
}

func TestRelease(t *testing.T) {
	w, v1, v3 := failed(t)
	r := w.whole(fleet.Viewer{}, staging)
	if r.Current == nil || r.Current.Version != "v1" || !strings.Contains(r.Current.Image, "@sha256:") || r.Current.URL != "https://git.example.com/models/commit/"+r.Current.Commit {
		t.Errorf("what serves is told as %+v", r.Current)
	}
	if h := r.HeldBack; h == nil || h.Commit != v3 || h.Version != "v3" || h.Subject != hostile || h.Author != "Ada" {
		t.Errorf("what is held is told as %+v", h)
	}
	if r.Asked == nil || r.Asked.Revision == nil || r.Asked.Revision.Commit != v3 {
		t.Errorf("what the branch asks for is told as %+v", r.Asked)
	}
	if len(r.Findings) == 0 || r.Findings[0].State != fleet.Stopped || !slices.Contains(r.Findings[0].Do, "davit resume staging/iris") {
		t.Errorf("what to do is told as %+v", r.Findings)
	}
	if len(r.History) != 2 || r.History[0].Commit != v3 || r.History[0].Outcome != "RolledBack" || r.History[0].Before != v1 || r.History[1].Outcome != "Healthy" {
		t.Errorf("the history is told as %+v", r.History)
	}
	if len(r.Next) != 1 || r.Next[0].To != "production" || r.Next[0].Doubt == "" || r.Next[0].Command != "" {
		t.Errorf("the next promotion is told as %+v", r.Next)
	}
	var places []string
	for _, p := range r.Places {
		places = append(places, p.Environment)
	}
	if got := strings.Join(places, " "); got != "staging production" {
		t.Errorf("the environments are %s, not in the order of promotions", got)
	}
	if !strings.Contains(r.Log, written) {
		t.Errorf("the log is %q", r.Log)
	}
}

func TestReleaseLive(t *testing.T) {
	w, _, _ := failed(t)
	var r *fleet.Release
	w.until("the older ReplicaSet and the new pod's address are known", func() bool {
		r = w.whole(fleet.Viewer{}, staging)
		last := len(r.Live.Objects) - 1
		return r.Live.Older == 1 && len(r.Live.Pods) == 1 && last >= 0 && r.Live.Objects[last].Kind == "EndpointSlice" && r.Live.Objects[last].Word == "Ready"
	})
	if p := r.Live.Pods[0]; p.Node != "sim-0" || p.Phase != "Running" || p.Ready != 1 || p.Containers != 1 || p.Version != "v1" || len(p.Images) != 2 || p.Created.IsZero() {
		t.Errorf("the pod is told as %+v", p)
	}
	var tree []string
	for _, o := range r.Live.Objects {
		tree = append(tree, strings.Repeat(" ", o.Depth)+o.Kind+" "+o.Word)
	}
	want := "Deployment Ready\n ReplicaSet Ready\n  Pod Ready\nService Ready\n EndpointSlice Ready"
	if got := strings.Join(tree, "\n"); got != want {
		t.Errorf("the objects are\n%s\nand not\n%s", got, want)
	}
	if len(r.Drift) > 0 {
		t.Errorf("drift %+v", r.Drift)
	}
	patch := []byte(`{"spec":{"template":{"spec":{"containers":[{"name":"server","env":[{"name":"MODE","value":"mine"}]}]}}}}`)
	_, err := w.client.AppsV1().Deployments(w.id+"-staging").Patch(t.Context(), "iris", types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: "mallory"})
	if err != nil {
		t.Fatal(err)
	}
	w.until("the drift is told", func() bool {
		d := w.Release(t.Context(), fleet.Viewer{}, name, staging).Drift
		return len(d) == 1 && d[0].Object == "Deployment.apps/iris" && strings.Contains(d[0].Field, "MODE") && d[0].Live == `"mine"` && d[0].Wanted == `"fast"` && slices.Contains(d[0].By, "mallory")
	})
}

// TestReleaseFailed looks at pods that fail and stay: nothing takes them away where a failure holds.
func TestReleaseFailed(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.edit("environments/staging/environment.yaml", "onFailure: rollback", "onFailure: hold")
		w.edit("releases/iris/staging.yaml", "version: v1", "version: v3")
	})
	w.until("staging has failed", func() bool {
		r := w.Release(t.Context(), fleet.Viewer{}, name, staging)
		return r != nil && r.Phase == "Failed"
	})
	r := w.whole(fleet.Viewer{}, staging)
	if len(r.Live.Pods) != 1 || r.State != fleet.Broken || r.LastHealthy != nil {
		t.Fatalf("it is told as %+v", r)
	}
	if p := r.Live.Pods[0]; p.Phase != "CrashLoopBackOff" || p.Restarts != 3 || p.Ready != 0 || p.State != fleet.Broken || !strings.Contains(p.Why, "exited with code 1") {
		t.Errorf("the pod is told as %+v", p)
	}
	if o := r.Live.Objects[0]; o.Kind != "Deployment" || o.Word != "CrashLoop" || o.State != fleet.Broken {
		t.Errorf("the Deployment is told as %+v", o)
	}
	if !strings.Contains(r.Log, written) || len(r.Findings) == 0 || r.Findings[0].State != fleet.Broken && r.Findings[0].State != fleet.Stopped {
		t.Errorf("log %q, to do %+v", r.Log, r.Findings)
	}
}

// away is a registry whose cluster takes connections and answers nothing.
type away struct {
	*reconciler.Reconciler
	cluster *cluster.Cluster
}

func (a away) Cluster(string) *cluster.Cluster { return a.cluster }

// TestReleaseOutOfReach has a page all the same, of what the cluster told last.
func TestReleaseOutOfReach(t *testing.T) {
	w := newWorld(t, nil)
	w.until("staging is healthy", func() bool {
		r := w.Release(t.Context(), fleet.Viewer{}, name, staging)
		return r != nil && r.State == fleet.Well
	})
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	gone, err := cluster.New(t.Context(), cluster.Config{REST: &rest.Config{Host: "http://" + silent.Addr().String()}, Owner: w.id})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Follow(t.Context(), "away", away{w.Reconciler, gone})()
	w.until("its releases are known", func() bool {
		all := w.Releases(fleet.Viewer{}, "away", fleet.Query{State: string(fleet.Well)})
		return all.Found == 1
	})
	began := time.Now()
	r := w.Release(t.Context(), fleet.Viewer{}, "away", staging)
	if took := time.Since(began); took > time.Minute {
		t.Errorf("the page takes %s", took)
	}
	if r == nil || r.Version != "v1" || len(r.Notes) == 0 || !strings.Contains(r.Notes[0], "the cluster does not answer") || len(r.Places) != 2 || len(r.History) != 1 ||
		r.Current == nil || r.Current.Subject != "iris at v1" || r.Live.Known {
		t.Errorf("it is told as %+v", r)
	}
}

// TestReleaseOfWhoMayNot shows what those see who may not see all.
func TestReleaseOfWhoMayNot(t *testing.T) {
	w, _, _ := failed(t)
	only := func(_, environment string) bool { return environment == "staging" }
	v := fleet.Viewer{May: only, Logs: func(string, string) bool { return false }}
	if r := w.Release(t.Context(), v, name, production); r != nil {
		t.Errorf("production is shown to who may not see it: %+v", r)
	}
	if d, err := w.Diff(t.Context(), v, name, production, "", "", false); d != nil || err != nil {
		t.Errorf("production's diff is shown to who may not see it: %+v %v", d, err)
	}
	r := w.whole(v, staging)
	if len(r.Places) != 1 || len(r.Next) != 0 {
		t.Errorf("staging tells of production: %+v %+v", r.Places, r.Next)
	}
	said := r.Log + r.Message + r.HeldBack.Reason
	for _, f := range r.Findings {
		said += f.Text
	}
	if strings.Contains(said, "weight: 3") || !strings.Contains(said, "exited with code 1") {
		t.Errorf("who may not see logs reads %q", said)
	}
}

func TestDiff(t *testing.T) {
	w, v1, v3 := failed(t)
	d, err := w.Diff(t.Context(), fleet.Viewer{}, name, staging, v1[:8], v3[:8], false)
	if err != nil || len(d.Notes) > 0 {
		t.Fatalf("%v %+v", err, d)
	}
	var fields []string
	for _, f := range d.Fields {
		fields = append(fields, f.Path+"="+*f.From+">"+*f.To)
	}
	if got := strings.Join(fields, " "); got != "env.MODE=fast>slow version=v1>v3" {
		t.Errorf("the fields are %s", got)
	}
	if len(d.Objects) != 1 || d.Objects[0].Kind != "Deployment" {
		t.Fatalf("the objects are %+v", d.Objects)
	}
	image := slices.ContainsFunc(d.Objects[0].Fields, func(f plan.Field) bool {
		return strings.HasSuffix(f.Path, "image.reference") && *f.From == strconv.Quote(d.From.Image) && *f.To == strconv.Quote(d.To.Image) && d.From.Image != d.To.Image
	})
	if !image {
		t.Errorf("the images are not those that were built: %+v", d.Objects[0].Fields)
	}
	if d.Layers.Shared != 0 || d.Layers.Loads == 0 || d.Layers.Gone == 0 || len(d.Layers.Files) != 2 || len(d.Metrics) == 0 {
		t.Errorf("layers and metrics are %+v %+v", d.Layers, d.Metrics)
	}
	lines, err := w.Diff(t.Context(), fleet.Viewer{}, name, staging, "", "", true)
	if err != nil || lines.From.Commit != v1 || lines.To.Commit != v3 || len(lines.Texts) != 1 {
		t.Fatalf("%v %+v", err, lines)
	}
	if !slices.ContainsFunc(lines.Texts[0].Lines, func(l plan.Line) bool { return l.Op == "+" && strings.Contains(l.Text, "value: slow") }) {
		t.Errorf("the lines are %+v", lines.Texts[0].Lines)
	}
	if same, err := w.Diff(t.Context(), fleet.Viewer{}, name, staging, v3, v3, false); err != nil || !same.Same || same.Layers.Shared == 0 {
		t.Errorf("a revision differs from itself: %v %+v", err, same)
	}
	if _, err := w.Diff(t.Context(), fleet.Viewer{}, name, staging, strings.Repeat("0", 39)+"1", "", false); err != fleet.ErrNoRevision {
		t.Errorf("what is no commit is %v", err)
	}
}

// TestHostile looks at the pages of a release whose texts would do harm.
func TestHostile(t *testing.T) {
	w, _, _ := failed(t)
	page, err := web.New(web.Config{Fleet: w.Fleet})
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"", "/diff", "/diff?view=lines"} {
		answer := httptest.NewRecorder()
		ask := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/"+name+"/releases/staging/iris"+at, nil)
		page.ServeHTTP(answer, ask)
		html := answer.Body.String()
		if answer.Code != http.StatusOK || !strings.Contains(html, "v3 &lt;script&gt;alert(1)&lt;/script&gt; &lt;img src=x") {
			t.Errorf("%s: %d, and the subject is not there as text", at, answer.Code)
		}
		for _, harm := range []string{"<script>alert", "<img", ` "onmouseover`, " style=", "javascript:"} {
			if strings.Contains(html, harm) {
				t.Errorf("%s has %s", at, harm)
			}
		}
	}
}
