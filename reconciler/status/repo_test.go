package status

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// repo is a real repository whose commits the real git makes.
type repo struct {
	t   testing.TB
	dir string
}

func newRepo(t testing.TB) *repo {
	r := &repo{t: t, dir: t.TempDir()}
	r.git("init", "-q", "-b", "main")
	return r
}

func (r *repo) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// commit writes files, of which those without text are removed, and gives the commit's hash.
func (r *repo) commit(message string, tree files) string {
	r.t.Helper()
	for name, text := range tree {
		at := filepath.Join(r.dir, name)
		err := os.MkdirAll(filepath.Dir(at), 0o755)
		if err == nil && text == "" {
			err = os.Remove(at)
		} else if err == nil {
			err = os.WriteFile(at, []byte(text), 0o644)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", message)
	return r.git("rev-parse", "HEAD")
}

// view is one of what HEAD has now.
func (r *repo) view(cfg Config) *View {
	r.t.Helper()
	source, err := gitops.Open(r.t.Context(), gitops.Config{URL: r.dir})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { source.Close() })
	head, err := source.Resolve(r.t.Context(), "HEAD")
	if err != nil {
		r.t.Fatal(err)
	}
	cfg.Source = source
	if cfg.Tip, err = source.Snapshot(r.t.Context(), head); err != nil {
		r.t.Fatal(err)
	}
	return New(cfg)
}

type files map[string]string

func (f files) with(more files) files {
	out := maps.Clone(f)
	maps.Copy(out, more)
	return out
}

func spec(kind, text string) string {
	return "apiVersion: " + registry.APIVersion + "\nkind: " + kind + "\nspec: " + text + "\n"
}

func modelVersion(accuracy string) string {
	return spec("ModelVersion", "{format: onnx, files: [{path: a, source: models/a, sha256: "+strings.Repeat("ab", 32)+", size: 1}], metrics: {accuracy: "+accuracy+"}}")
}

func at(version string) string { return spec("Release", "\n\n  version: "+version+"\n") }

// iris is a registry of one release in staging and production, at v1, with a better v2 and a worse v3.
func iris() files {
	env := spec("Environment", `{runtimes: {custom: "1.0"}}`)
	return files{
		"davit.yaml":                               spec("Registry", "{images: example.com/m}"),
		"environments/staging/environment.yaml":    env,
		"environments/production/environment.yaml": spec("Environment", `{runtimes: {custom: "1.0"}, gates: {healthyIn: {staging: 1h}, metrics: {accuracy: {min: 0.8}}}}`),
		"runtimes/custom/1.0/runtime.yaml": spec("Runtime", "{workload: {apiVersion: apps/v1, kind: Deployment, name: runtime}, container: server, port: 8080, image: example.com/s@sha256:"+
			strings.Repeat("0", 64)+"}"),
		"runtimes/custom/1.0/kustomization.yaml": "resources: []\n",
		"models/iris/model.yaml":                 spec("Model", "{}"),
		"models/iris/versions/v1.yaml":           modelVersion("0.9"),
		"models/iris/versions/v2.yaml":           modelVersion("0.95"),
		"models/iris/versions/v3.yaml":           modelVersion("0.7"),
		"releases/iris/serving.yaml":             spec("Serving", "{model: iris, runtime: custom, args: {threads: 4}}"),
		"releases/iris/staging.yaml":             at("v1"),
		"releases/iris/production.yaml":          at("v1"),
	}
}
