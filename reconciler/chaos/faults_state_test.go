package chaos_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
)

// faultyKey is a signing key for images, and its halves in PEM.
func faultyKey(t *testing.T) (_ *image.Key, secret, public string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	secret = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	key, err := image.ParseKey([]byte(secret), nil)
	if err != nil {
		t.Fatal(err)
	}
	if der, err = x509.MarshalPKIXPublicKey(private.Public()); err != nil {
		t.Fatal(err)
	}
	return key, secret, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// goal is what a world is to come to: the version, and the commit that asked for it, of each release.
type goal struct {
	iris, irisCommit string
	held             string // the commit of v3, which is held back; "" before that
}

// release reads a ModelRelease past the proxy; one that is not there is empty.
func (w *faultyWorld) release(env, name string) (*v1alpha1.ModelRelease, error) {
	mr, err := w.cluster.Release(w.t.Context(), w.namespace(env), env, name)
	if mr == nil {
		mr = &v1alpha1.ModelRelease{}
	}
	return mr, err
}

// promoted is the goal once production and staging are at another version, whose image nobody has built.
func (w *faultyWorld) promoted(g goal) goal {
	w.t.Helper()
	w.next++
	next := fmt.Sprint("f", w.next)
	const header = `{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	file = binary.LittleEndian.AppendUint32(append(file, header...), uint32(w.next))
	w.write("models/iris/files/"+next+"/model.safetensors", string(file))
	w.write("models/iris/versions/"+next+".yaml", fmt.Sprintf(faultyVersion, next, sha256.Sum256(file), len(file)))
	for _, env := range []string{"staging", "production"} {
		w.edit("releases/iris/"+env+".yaml", "version: "+g.iris+"\n", "version: "+next+"\n")
	}
	return goal{next, w.commit(next), g.held}
}

const faultyVersion = `apiVersion: davit.dev/v1alpha1
kind: ModelVersion
spec:
  format: safetensors
  files:
    - {path: model.safetensors, source: models/iris/files/%s/model.safetensors, sha256: %x, size: %d}
`

// missing says how the cluster differs from the goal; "" where it does not.
func (w *faultyWorld) missing(g goal) string {
	for _, env := range []string{"staging", "production"} {
		mr, err := w.release(env, "iris")
		if st := mr.Status; err != nil || st.Phase != v1alpha1.Healthy || st.Applied.Version != g.iris || st.Healthy.Commit != g.irisCommit {
			return fmt.Sprintf("%s/iris is %s (%s) at %s of %.12s, not Healthy at %s of %.12s: %v", env, st.Phase, st.Message, st.Applied.Version, st.Healthy.Commit, g.iris, g.irisCommit, err)
		}
	}
	mr, err := w.release("production", "held")
	st := mr.Status
	good := st.Phase == v1alpha1.Healthy
	if g.held != "" {
		good = st.Phase == v1alpha1.RolledBack && st.Held != nil && st.Held.Commit == g.held
	}
	if err != nil || !good || st.Applied.Version != "v1" {
		return fmt.Sprintf("production/held is %s (%s) at %s: %v", st.Phase, st.Message, st.Applied.Version, err)
	}
	return ""
}

// deployments are those of an environment, by name.
func (w *faultyWorld) deployments(env string) map[string]*appsv1.Deployment {
	w.t.Helper()
	list, err := w.client.AppsV1().Deployments(w.namespace(env)).List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	all := map[string]*appsv1.Deployment{}
	for i := range list.Items {
		all[list.Items[i].Name] = &list.Items[i]
	}
	return all
}

// model is the image that a Deployment mounts.
func model(d *appsv1.Deployment) string {
	for _, v := range d.Spec.Template.Spec.Volumes {
		if v.Image != nil {
			return v.Image.Reference
		}
	}
	return ""
}

// intact checks what no fault may touch: the objects that there are, and that each image is one that davit signed.
func (w *faultyWorld) intact() {
	w.t.Helper()
	keys, err := image.ParsePublicKeys([]byte(w.keys))
	if err != nil {
		w.t.Fatal(err)
	}
	for env, want := range map[string][]string{"staging": {"iris"}, "production": {"held", "iris"}} {
		all := w.deployments(env)
		if names := slices.Sorted(maps.Keys(all)); !slices.Equal(names, want) {
			w.t.Errorf("Deployments of %s: %v, not %v", env, names, want)
		}
		services, err := w.client.CoreV1().Services(w.namespace(env)).List(w.t.Context(), metav1.ListOptions{})
		if err != nil || len(services.Items) != len(want) {
			w.t.Errorf("%d Services in %s: %v", len(services.Items), env, err)
		}
		for name, d := range all {
			w.signed(name, model(d), d.Spec.Template.Labels["davit.dev/version"], keys)
		}
	}
}

// signed checks that an image is what a version's tag leads to, and is signed.
func (w *faultyWorld) signed(release, ref, version string, keys []image.PublicKey) {
	w.t.Helper()
	images, err := image.New(image.Config{Key: w.key})
	if err != nil {
		w.t.Fatal(err)
	}
	known, repository := w.versions()
	v := known[version]
	if v == nil {
		w.t.Errorf("%s at a version %q that no commit asked for", release, version)
		return
	}
	got, found, err := images.Find(w.t.Context(), repository, v)
	if err != nil || !found || got.Ref != ref {
		w.t.Errorf("%s at %s mounts %s, and the OCI registry has %s: %v", release, version, ref, got.Ref, err)
		return
	}
	if err := images.Verify(w.t.Context(), ref, v, image.Policy{Keys: keys, Provenance: true}); err != nil {
		w.t.Error(err)
	}
}

// noted waits until the outcomes of a commit in Git are exactly what happened, one line for each.
func (w *faultyWorld) noted(commit string, want ...string) {
	w.t.Helper()
	w.until(func() string {
		var got []string
		for line := range strings.Lines(w.note(commit)) {
			var e gitops.Event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				w.t.Fatalf("%q: %v", line, err)
			}
			got = append(got, e.Release+" "+e.Version+" "+e.Outcome)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			return fmt.Sprintf("outcomes of %.12s are %q, not %q", commit, got, want)
		}
		return ""
	})
}

// note is a commit's; "" where there is none.
func (w *faultyWorld) note(commit string) string {
	if w.run("git", "notes", "--ref=davit", "list") == "" {
		return ""
	}
	return w.run("sh", "-c", "git notes --ref=davit show "+commit+" 2>/dev/null || true")
}

// versions are those of iris that releases name, and have named, and where their images are.
func (w *faultyWorld) versions() (known map[string]*registry.ModelVersion, repository string) {
	w.t.Helper()
	models, err := registry.Load(os.DirFS(w.dir))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range models.Releases {
		w.known[r.ModelVersion.Name], repository = r.ModelVersion, r.Repository()
	}
	return w.known, repository
}

// corrects has somebody edit a Deployment, and waits until that is undone: what is watched is seen again.
func (w *faultyWorld) corrects() {
	w.t.Helper()
	_, err := w.client.AppsV1().Deployments(w.namespace("production")).Patch(w.t.Context(), "iris", types.MergePatchType,
		[]byte(`{"spec":{"replicas":3}}`), metav1.PatchOptions{FieldManager: "somebody"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.until(func() string {
		if n := *w.deployments("production")["iris"].Spec.Replicas; n != 1 {
			return fmt.Sprintf("an edit to %d replicas is not undone", n)
		}
		return ""
	})
}
