package render_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

const (
	runHash = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"
	run     = "tune-0a1b2c3d"
)

func tune(t testing.TB, fsys fs.FS) *registry.Training {
	t.Helper()
	models, err := registry.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	if models.Trainings["iris/tune"] == nil {
		t.Fatal(models.Faults)
	}
	return models.Trainings["iris/tune"]
}

// baseImage is the model image that a training starts from, if it has a base version.
func baseImage(t *registry.Training) string {
	if t.BaseVersion == nil {
		return ""
	}
	return modelImage
}

// trainings are the archives of testdata/training: files laid over the example, and the objects they give.
func trainings(t *testing.T, check func(t *testing.T, name string, a *txtar.Archive, fsys fstest.MapFS, want *txtar.File)) {
	names, err := filepath.Glob("testdata/training/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			over, want := split(t, a)
			check(t, name, a, iris(t, over), want)
		})
	}
}

func TestTraining(t *testing.T) {
	trainings(t, func(t *testing.T, name string, a *txtar.Archive, fsys fstest.MapFS, want *txtar.File) {
		spec := tune(t, fsys)
		got, err := render.Training(fsys, spec, runHash, baseImage(spec))
		if err != nil {
			t.Fatal(err)
		}
		compare(t, name, a, want, got)
	})
}

// TestTrainingOverlayGivesTheSameBytes builds each case's written tree by the real kubectl.
func TestTrainingOverlayGivesTheSameBytes(t *testing.T) {
	binaries, err := devcluster.Build(t.Context(), os.Stderr, devcluster.PartControlPlane)
	if err != nil {
		t.Fatal(err)
	}
	trainings(t, func(t *testing.T, _ string, _ *txtar.Archive, fsys fstest.MapFS, want *txtar.File) {
		spec := tune(t, fsys)
		tree, err := render.TrainingOverlay(fsys, spec, runHash, baseImage(spec))
		if err != nil {
			t.Fatal(err)
		}
		dir := laid(t, tree)
		out, err := exec.Command(binaries["kubectl"], "kustomize", filepath.Join(dir, "training", run)).Output()
		if err != nil || !bytes.Equal(out, want.Data) {
			t.Errorf("kubectl (%v):\n%s\nin memory:\n%s", err, out, want.Data)
		}
	})
}

// TestTrainingIsAccepted asks a real API server, with Pod Security at its strictest. That does not look into JobSets, so
// the server is also asked for the Job that is in one.
func TestTrainingIsAccepted(t *testing.T) {
	kubectl := restricted(t)
	trainings(t, func(t *testing.T, _ string, _ *txtar.Archive, fsys fstest.MapFS, _ *txtar.File) {
		spec := tune(t, fsys)
		out, err := render.Training(fsys, spec, runHash, baseImage(spec))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range out.Objects {
			for _, o := range slices.Compact([]*unstructured.Unstructured{o, inside(t, o)}) {
				data, err := o.MarshalJSON()
				if err != nil {
					t.Fatal(err)
				}
				if said := kubectl(data, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"); strings.Contains(said, "Warning") {
					t.Error(said)
				}
			}
		}
	})
}

// restricted starts a cluster with a namespace "training", as strict as can be, and returns its kubectl.
func restricted(t *testing.T) func(in []byte, args ...string) string {
	t.Helper()
	cluster, err := devcluster.Start(t.Context(), devcluster.Config{APIs: []string{"jobset"}, Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cluster.Stop() })
	kubectl := func(in []byte, args ...string) string {
		t.Helper()
		cmd := exec.Command(cluster.Bin("kubectl"), append([]string{"--kubeconfig", cluster.Kubeconfig}, args...)...)
		cmd.Stdin = bytes.NewReader(in)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	kubectl(nil, "create", "namespace", "training")
	kubectl(nil, "label", "namespace", "training", "pod-security.kubernetes.io/enforce=restricted", "pod-security.kubernetes.io/warn=restricted")
	return kubectl
}

// inside is the Job in a JobSet; any other object is itself.
func inside(t *testing.T, o *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	if o.GetKind() != "JobSet" {
		return o
	}
	jobs, _, err := unstructured.NestedSlice(o.Object, "spec", "replicatedJobs")
	if err != nil || len(jobs) != 1 {
		t.Fatal(jobs, err)
	}
	job := jobs[0].(map[string]any)["template"].(map[string]any) // a copy
	job["apiVersion"], job["kind"] = "batch/v1", "Job"
	job["metadata"] = map[string]any{"name": o.GetName(), "namespace": o.GetNamespace()}
	return &unstructured.Unstructured{Object: job}
}
