package gate_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
)

// person has the key that a name stands for.
func person(t testing.TB, name string) ssh.Signer {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	key, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// line is a person's line of authorized_keys.
func line(t testing.TB, name string) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(person(t, name).PublicKey()))) + " " + name
}

// tree is a registry of files.
type tree fstest.MapFS

// world is a registry with production/iris at v2, whose environment wants approvals; roles and gates are lines of YAML.
func world(t testing.TB, roles, approvals string) tree {
	head := func(kind, spec string) string {
		return "apiVersion: davit.dev/v1alpha1\nkind: " + kind + "\nspec: " + spec + "\n"
	}
	version := func(sha string) string {
		return head("ModelVersion", "{format: onnx, files: [{path: m.onnx, source: 'https://a.example/m.onnx', sha256: '"+strings.Repeat(sha, 64)+"', size: 3}], metrics: {auc: 0.9}, lineage: {trainedBy: fit}}")
	}
	out := tree{}
	for name, text := range map[string]string{
		"davit.yaml":                               head("Registry", "{images: r.example/models}"),
		"environments/staging/environment.yaml":    head("Environment", "{runtimes: {srv: 1.0.0}}"),
		"environments/production/environment.yaml": head("Environment", "\n  runtimes: {srv: 1.0.0}\n  roles: {"+roles+"}\n  gates: {approvals: {"+approvals+"}}"),
		"runtimes/srv/1.0.0/runtime.yaml":          head("Runtime", "{workload: {apiVersion: apps/v1, kind: Deployment, name: server}, container: server, port: 8080, image: 'r.example/srv@sha256:"+strings.Repeat("c", 64)+"'}"),
		"runtimes/srv/1.0.0/kustomization.yaml":    "resources: []\n",
		"models/iris/model.yaml":                   head("Model", "{owners: [ada]}"),
		"models/iris/versions/v1.yaml":             version("1"),
		"models/iris/versions/v2.yaml":             version("2"),
		"models/iris/evidence/v2/bias.md":          "none found\n",
		"releases/iris/serving.yaml":               head("Serving", "{model: iris, runtime: srv, args: {b: 2, a: 1}}"),
		"releases/iris/production.yaml":            head("Release", "\n\n  version: v2\n\n  promote: {from: staging}"),
		"releases/iris/staging.yaml":               head("Release", "\n\n  version: v2\n"),
		"releases/iris/kustomization.yaml":         "kind: Component\n",
		"releases/iris/patch.yaml":                 "a: b\n",
	} {
		out.write(name, text)
	}
	return out
}

func (w tree) write(name, text string) { w[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644} }

func (w tree) text(name string) string { return string(w[name].Data) }

func (w tree) replace(t testing.TB, name, from, to string) {
	t.Helper()
	if !strings.Contains(w.text(name), from) {
		t.Fatalf("%s does not contain %q:\n%s", name, from, w.text(name))
	}
	w.write(name, strings.ReplaceAll(w.text(name), from, to))
}

func (w tree) clone() tree { return maps.Clone(w) }

// release is production/iris.
func (w tree) release(t testing.TB) *registry.Release {
	t.Helper()
	reg, err := registry.Load(fstest.MapFS(w))
	if err != nil {
		t.Fatal(err)
	}
	r := reg.Release(registry.Key{Environment: "production", Name: "iris"})
	if r == nil {
		t.Fatalf("production/iris: %v", reg.Faults)
	}
	return r
}

func (w tree) digest(t testing.TB) string {
	t.Helper()
	d, err := gate.Digest(fstest.MapFS(w), w.release(t))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var noon = time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)

// approve adds an approval and gives its path.
func (w tree) approve(t testing.TB, name, role string) string {
	t.Helper()
	file, text, err := gate.Approve(fstest.MapFS(w), w.release(t), gate.Approval{Role: role, By: name, At: noon}, person(t, name))
	if err != nil {
		t.Fatal(err)
	}
	w.write(file, string(text))
	return file
}

// findings are those of the approvals, by role.
func (w tree) findings(t testing.TB) map[string]gate.Finding {
	t.Helper()
	list, err := gate.Check(fstest.MapFS(w), w.release(t), gate.Facts{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]gate.Finding{}
	for _, f := range list {
		role, ok := strings.CutPrefix(f.Gate, "approvals/")
		if !ok {
			t.Fatalf("finding of %s", f.Gate)
		}
		out[role] = f
	}
	return out
}
