package history

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/davit-dev/davit/gitops"
)

// repo is a real repository whose commits the real git makes.
type repo struct {
	t     testing.TB
	dir   string
	clock int64
}

func newRepo(t testing.TB) *repo {
	r := &repo{t: t, dir: t.TempDir(), clock: 1767312000}
	r.git("init", "-q", "-b", "main")
	return r
}

func (r *repo) git(args ...string) string {
	r.t.Helper()
	return r.feed("", args...)
}

func (r *repo) feed(stdin string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Stdin = r.dir, strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Grace", "GIT_COMMITTER_EMAIL=grace@example.com")
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		cmd.Env = append(cmd.Env, fmt.Sprintf("GIT_%s_DATE=%d +0000", who, r.clock))
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

type files map[string]string

// commit makes a branch's next commit, a minute after the last, with exactly these files.
func (r *repo) commit(branch, message string, tree files, parents ...string) string {
	r.t.Helper()
	r.clock += 60
	var b strings.Builder
	fmt.Fprintf(&b, "commit refs/heads/%s\nauthor Ada <ada@example.com> %d +0000\ncommitter Grace <grace@example.com> %d +0000\ndata %d\n%s\n", branch, r.clock, r.clock, len(message), message)
	for i, p := range parents {
		fmt.Fprintf(&b, "%s %s\n", []string{"from", "merge"}[i], p)
	}
	b.WriteString("deleteall\n")
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		fmt.Fprintf(&b, "M 644 inline %s\ndata %d\n%s\n", name, len(tree[name]), tree[name])
	}
	r.feed(b.String(), "fast-import", "--quiet", "--force")
	return r.git("rev-parse", branch)
}

func (r *repo) open() *gitops.Source {
	r.t.Helper()
	s, err := gitops.Open(r.t.Context(), gitops.Config{URL: r.dir})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { s.Close() })
	return s
}

// note adds an event to a commit, as davit does.
func (r *repo) note(commit, line string) {
	r.t.Helper()
	r.git("notes", "--ref=davit", "append", "-m", line, commit)
}

func spec(kind, text string) string {
	return "apiVersion: davit.dev/v1alpha1\nkind: " + kind + "\nspec: " + text + "\n"
}

func version(more string) string {
	return spec("ModelVersion", "{format: onnx, files: [{path: a, source: models/a, sha256: "+strings.Repeat("ab", 32)+", size: 1}]"+more+"}")
}

// iris is a registry of one release, iris, in two environments at v1.
func iris() files {
	return files{
		"davit.yaml":                               spec("Registry", "{images: example.com/m}"),
		"environments/staging/environment.yaml":    spec("Environment", `{runtimes: {custom: "1.0"}}`),
		"environments/production/environment.yaml": spec("Environment", `{runtimes: {custom: "1.0"}}`),
		"runtimes/custom/1.0/runtime.yaml": spec("Runtime", "{workload: {apiVersion: apps/v1, kind: Deployment, name: runtime}, container: server, port: 8080, image: example.com/s@sha256:"+
			strings.Repeat("0", 64)+"}"),
		"runtimes/custom/1.0/kustomization.yaml": "resources: []\n",
		"models/iris/model.yaml":                 spec("Model", "{}"),
		"models/iris/versions/v1.yaml":           version(", metrics: {accuracy: 0.9}"),
		"models/iris/versions/v2.yaml":           version(", metrics: {accuracy: 0.95}"),
		"releases/iris/serving.yaml":             spec("Serving", "{model: iris, runtime: custom, args: {threads: 4}}"),
		"releases/iris/staging.yaml":             spec("Release", "{version: v1}"),
		"releases/iris/production.yaml":          spec("Release", "{version: v1}"),
	}
}

func (f files) with(name, text string) files {
	out := maps.Clone(f)
	if out[name] = text; text == "" {
		delete(out, name)
	}
	return out
}
