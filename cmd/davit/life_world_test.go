package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/jsonpath"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/deploy/devcluster/planted"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// lifeConfig is what is another in another life. The zero value is TestLife's.
type lifeConfig struct {
	// crash says whose pods crash, in kwok's words and with a value "yes"; those of version v3 when empty.
	crash string
	// prepare changes the registry before its first commit, and sign adds commits before it is pushed.
	prepare, sign func(*life)
	// policy is of production, in the ModelRegistry.
	policy func(*life) string
}

func newLife(t *testing.T, cfg lifeConfig) *life {
	stage := "../../reconciler/testdata/crash-v3.yaml"
	if cfg.crash != "" {
		text, err := os.ReadFile(stage)
		if err != nil {
			t.Fatal(err)
		}
		stage = filepath.Join(t.TempDir(), "crash.yaml")
		text = bytes.Replace(text, []byte(`'.metadata.labels["davit.dev/version"]', operator: In, values: [v3]`), []byte("'"+cfg.crash+`', operator: In, values: ["yes"]`), 1)
		if err := os.WriteFile(stage, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dev, err := devcluster.Start(t.Context(), devcluster.Config{Nodes: 1, Registry: true, Forge: true, Stages: []string{stage}, Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dev.Stop(); err != nil {
			t.Error(err)
		}
	})
	config, err := clientcmd.BuildConfigFromFlags("", dev.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	l := &life{t: t, cfg: cfg, dev: dev, client: dynamic.NewForConfigOrDie(config), dir: filepath.Join(t.TempDir(), "models"), home: t.TempDir()}
	l.repository()
	l.follow()
	return l
}

// repository puts the registry on the forge, with Ada's clone of it.
func (l *life) repository() {
	if err := os.CopyFS(l.dir, os.DirFS("../../examples/iris/registry")); err != nil {
		l.t.Fatal(err)
	}
	l.edit("davit.yaml", "127.0.0.1:5000", l.dev.Registry)
	for _, env := range []string{"staging", "production"} {
		l.edit("environments/"+env+"/environment.yaml", "bake: 5s", "bake: 1s")
	}
	l.edit("releases/iris/serving.yaml", "  smokeTest: {path: /v2/health/ready}\n", "") // simulated pods answer nothing
	l.api(http.MethodPost, "/user/repos", map[string]any{"name": "models", "private": true, "default_branch": "main"}, nil)
	l.api(http.MethodPost, "/admin/users", map[string]any{
		"username": "ada", "password": devcluster.ForgePassword, "email": "ada@example.com", "full_name": "Ada", "must_change_password": false,
	}, nil)
	l.api(http.MethodPut, "/repos"+lifeRepository+"/collaborators/ada", map[string]any{"permission": "admin"}, nil)
	l.run("git config --global user.name Ada && git config --global user.email ada@example.com")
	if l.cfg.prepare != nil {
		l.cfg.prepare(l)
	}
	l.run("git init -q -b main && git add -A && git commit -q -m 'iris at v1, in staging and production'")
	l.run("git remote add origin " + strings.Replace(l.dev.Forge, "://", "://ada:"+devcluster.ForgePassword+"@", 1) + lifeRepository + ".git")
	if l.cfg.sign != nil {
		l.cfg.sign(l)
	}
	l.run("git push -q -u origin main && git remote set-head origin main")
}

// follow starts two controllers, each for an environment, with a key to sign by, a token for the forge and webhooks: they
// look at the repository by themselves once an hour.
func (l *life) follow() {
	policy := ""
	if l.cfg.policy != nil {
		policy = l.cfg.policy(l)
	}
	l.run("davit install --crds")
	l.run("ssh-keygen -q -t ed25519 -N '' -C davit -f $HOME/key")
	l.run(`echo "davit@davit.dev $(cat $HOME/key.pub)" > $HOME/signers && git config gpg.ssh.allowedSignersFile $HOME/signers`)
	l.run("kubectl create namespace davit")
	l.run("kubectl -n davit create secret generic git --from-literal=username=" + devcluster.ForgeUser + " --from-literal=password=" + devcluster.ForgePassword)
	l.run("kubectl -n davit create secret generic commits --from-file=key=$HOME/key")
	l.token = l.access("ada")
	l.run("kubectl -n davit create secret generic forge --from-literal=token=" + l.access(devcluster.ForgeUser) + " --from-literal=webhook=pl4nted-webhook")
	l.run(`kubectl -n davit apply -f - <<END
apiVersion: davit.dev/v1alpha1
kind: ModelRegistry
metadata: {name: models}
spec:
  url: ` + l.dev.Forge + lifeRepository + `.git
  interval: 1h
  credentials: git
  committer: {signingKey: {secret: commits, key: key}}
  forge: {kind: Gitea, secret: forge}
  environments:
  - {name: staging, namespaces: [staging]}
  - name: production
    namespaces: [production]` + policy + `
END`)
	for _, environment := range []string{"staging", "production"} {
		l.control(environment)
	}
}

// control runs one of the controllers, each for an environment.
func (l *life) control(environment string) {
	address := l.free()
	l.api(http.MethodPost, "/repos"+lifeRepository+"/hooks", map[string]any{
		"type": "gitea", "active": true, "events": []string{"push"},
		"config": map[string]string{"url": "http://" + address + "/hooks/models", "content_type": "json", "secret": "pl4nted-webhook"},
	}, nil)
	log, err := os.Create(filepath.Join(l.home, environment+".log"))
	if err != nil {
		l.t.Fatal(err)
	}
	cmd := exec.CommandContext(l.t.Context(), "davit", "controller", "--namespace", "davit", "--environments", environment,
		"--mirrors", filepath.Join(l.home, environment), "--webhook", address, "--listen", "127.0.0.1:0")
	cmd.Env, cmd.Stdout, cmd.Stderr = l.env(), log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		if _, crashed := errors.AsType[*exec.ExitError](cmd.Wait()); crashed {
			l.t.Errorf("the controller of %s ended with %v", environment, cmd.ProcessState)
		}
		text, _ := os.ReadFile(log.Name())
		if word := planted.Find(text); word != "" {
			l.t.Errorf("the controller of %s logged %s", environment, word)
		}
		if l.t.Failed() || bytes.Contains(text, []byte("DATA RACE")) {
			l.t.Errorf("the controller of %s:\n%s", environment, text)
		}
	})
}

// access makes a token for the forge's API.
func (l *life) access(user string) string {
	var token struct{ Sha1 string }
	l.as(user, http.MethodPost, "/users/"+user+"/tokens", map[string]any{"name": "davit", "scopes": []string{"write:repository", "write:issue", "read:user"}}, &token)
	return token.Sha1
}

func (l *life) free() string {
	address, err := devcluster.FreeAddress()
	if err != nil {
		l.t.Fatal(err)
	}
	return address
}

func (l *life) env() []string {
	return append(os.Environ(), "HOME="+l.home, "KUBECONFIG="+l.dev.Kubeconfig, "GIT_CONFIG_NOSYSTEM=1", "USER=ada",
		"PATH="+filepath.Dir(l.dev.Bin("kubectl"))+":"+os.Getenv("PATH"), "TZ=UTC", forgeToken+"="+l.token)
}

// run is a command of the user's.
func (l *life) run(command string) string {
	l.t.Helper()
	cmd := exec.CommandContext(l.t.Context(), "bash", "-c", command)
	cmd.Dir, cmd.Env = l.dir, l.env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	if word := planted.Find(out); word != "" {
		l.t.Errorf("%s prints %s", command, word)
	}
	return string(out)
}

// show is one that the page shows, with what it printed.
func (l *life) show(command string) {
	l.t.Helper()
	fmt.Fprintf(&l.transcript, "$ %s\n%s\n", command, strings.TrimRight(l.run(command), "\n")+"\n")
}

// say is a line of the page's.
func (l *life) say(text string) { fmt.Fprintf(&l.transcript, "# %s\n", text) }

func (l *life) edit(name, from, to string) {
	l.t.Helper()
	file := filepath.Join(l.dir, name)
	data, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(data, []byte(from)) {
		l.t.Fatalf("%s has no %q: %v", name, from, err)
	}
	if err := os.WriteFile(file, bytes.ReplaceAll(data, []byte(from), []byte(to)), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// promote has Ada open a pull request for a version, and merge it on the forge.
func (l *life) promote(from, to string) {
	l.t.Helper()
	for _, command := range []string{
		"git switch -q -c promote-" + to + " main",
		fmt.Sprintf("sed -i 's/version: %s/version: %s/' releases/iris/production.yaml", from, to),
		"git commit -qam 'iris " + to + " to production'",
		"git push -q origin promote-" + to,
	} {
		fmt.Fprintf(&l.transcript, "$ %s\n", command)
		l.run(command + " 2>&1 | grep -v '^remote:' || true")
	}
	l.transcript.WriteString("\n")
	var pr struct{ Number int }
	l.as("ada", http.MethodPost, "/repos"+lifeRepository+"/pulls", map[string]any{"head": "promote-" + to, "base": "main", "title": "iris " + to + " to production"}, &pr)
	l.merge(pr.Number)
	l.run("git switch -q main && git pull -q")
}

func (l *life) merge(number int) {
	l.t.Helper()
	l.until(fmt.Sprintf("pull request %d is there and can be merged", number), func() bool { return l.pull(number).Mergeable })
	l.mergeBy("merge", number)
}

// mergeBy merges a pull request. What Gitea asks to try again later, because it looks for conflicts just then, is tried again.
func (l *life) mergeBy(how string, number int) {
	l.t.Helper()
	l.until(fmt.Sprintf("pull request %d is merged", number), func() bool {
		return l.as("ada", http.MethodPost, fmt.Sprintf("/repos%s/pulls/%d/merge", lifeRepository, number), map[string]any{"Do": how}, nil) < 300
	})
}

type pull struct {
	Mergeable bool
	Head      struct{ Ref string }
}

func (l *life) pull(number int) (p pull) {
	l.as("ada", http.MethodGet, fmt.Sprintf("/repos%s/pulls/%d", lifeRepository, number), nil, &p)
	return p
}

func (l *life) comments(number int) string {
	var all []struct{ Body string }
	l.api(http.MethodGet, fmt.Sprintf("/repos%s/issues/%d/comments", lifeRepository, number), nil, &all)
	var text strings.Builder
	for _, c := range all {
		text.WriteString(c.Body + "\n")
	}
	return text.String()
}

func (l *life) statuses(commit string) map[string]string {
	var all struct {
		Statuses []struct{ Context, Status string }
	}
	l.api(http.MethodGet, "/repos"+lifeRepository+"/commits/"+commit+"/status", nil, &all)
	out := map[string]string{}
	for _, s := range all.Statuses {
		out[s.Context] = s.Status
	}
	return out
}

func (l *life) api(method, path string, body, into any) int {
	return l.as(devcluster.ForgeUser, method, path, body, into)
}

// as asks the forge; what is not there is no failure, it may come.
func (l *life) as(user, method, path string, body, into any) int {
	l.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(l.t.Context(), 2*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, l.dev.Forge+"/api/v1"+path, bytes.NewReader(data))
	if err != nil {
		l.t.Fatal(err)
	}
	req.SetBasicAuth(user, devcluster.ForgePassword)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	later := resp.StatusCode == http.StatusMethodNotAllowed && bytes.Contains(answer, []byte("try again later"))
	if err != nil || resp.StatusCode > 299 && resp.StatusCode != http.StatusNotFound && !later {
		l.t.Fatalf("%s %s: %s %v\n%s", method, path, resp.Status, err, answer)
	}
	if into != nil && resp.StatusCode < 300 {
		if err := json.Unmarshal(answer, into); err != nil {
			l.t.Fatalf("%s %s: %v\n%s", method, path, err, answer)
		}
	}
	return resp.StatusCode
}

// field is what kubectl's jsonpath gives, without its outer braces, for production's or staging's ModelRelease; "" when it is
// not there. Asked until it is as wanted, kubectl itself would take most of a core.
func (l *life) field(env, path string) string {
	l.t.Helper()
	mr, err := l.client.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource)).Namespace(env).Get(l.t.Context(), env+".iris", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return ""
	}
	if err != nil {
		l.t.Fatal(err)
	}
	template, text := jsonpath.New(path).AllowMissingKeys(true), &strings.Builder{}
	if err := template.Parse("{" + path + "}"); err != nil {
		l.t.Fatal(err)
	}
	if err := template.Execute(text, mr.Object); err != nil {
		l.t.Fatal(err)
	}
	return strings.TrimSpace(text.String())
}

func (l *life) phase(env string) string { return l.field(env, ".status.phase") }
func (l *life) pinned(env string) bool  { return l.field(env, ".spec.pin.commit") != "" }

func (l *life) healthy(env, version string) bool {
	return l.field(env, ".status.phase}/{.status.applied.version}/{.spec.claim.version") == "Healthy/"+version+"/"+version
}

func (l *life) until(what string, ok func() bool) {
	l.t.Helper()
	for began := time.Now(); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > 2*time.Minute {
			l.t.Fatalf("not within two minutes: %s", what)
		}
	}
}
