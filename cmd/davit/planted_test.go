package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/deploy/devcluster/planted"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// nosy is all that davit sends credentials to: a Git host with its forge, receivers of notifications, a store of weights and a
// Prometheus. What it refuses it answers with all that it was sent, as servers do.
type nosy struct {
	*httptest.Server
	git  http.Handler
	open atomic.Bool // whether weights are given
	dir  string
	sent sync.Map // credentials
}

func (n *nosy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	user, password, _ := r.BasicAuth()
	for _, sent := range []string{password, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), r.URL.String()} {
		n.sent.Store(planted.Find([]byte(sent)), true)
	}
	switch {
	case strings.HasPrefix(r.URL.Path, "/ml/models.git/") && user+":"+password == "ada:pl4nted-git":
		r.URL.Path = strings.Replace(r.URL.Path, "/ml/models.git/", "/.git/", 1)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		n.git.ServeHTTP(w, r)
	case strings.HasPrefix(r.URL.Path, "/weights/") && n.open.Load():
		http.ServeFile(w, r, filepath.Join(n.dir, "models/iris/files/v2/model.safetensors"))
	default:
		http.Error(w, fmt.Sprintf("you sent %s: %s %s, %s:%s, %s", r.URL, r.Header, r.Header.Get("Authorization"), user, password, body), http.StatusUnauthorized)
	}
}

func newNosy(t *testing.T, dir string) *nosy {
	path, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	n := &nosy{dir: dir, git: &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(path)), "git-http-backend"), Stderr: io.Discard,
		Env: []string{
			"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_COUNT=2", "REMOTE_USER=ada",
			"GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*", "GIT_CONFIG_KEY_1=http.receivepack", "GIT_CONFIG_VALUE_1=true",
		},
	}}
	n.Server = httptest.NewTLSServer(n)
	t.Cleanup(n.Close)
	return n
}

// secrets are all kinds of credentials that a ModelRegistry can name.
func (n *nosy) secrets(t *testing.T) map[string]map[string]string {
	key := filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	docker := func(kind string) map[string]string {
		return map[string]string{corev1.DockerConfigJsonKey: `{"auths": {"registry.example.com": {"username": "ada", "password": "pl4nted-` + kind + `"}}}`}
	}
	return map[string]map[string]string{
		"git":        {"username": "ada", "password": "pl4nted-git-wrong"},
		"forge":      {"token": "pl4nted-forge", "webhook": "pl4nted-webhook"},
		"commits":    {"key": read(key)},
		"channel":    {"url": n.URL + "/hooks/pl4nted-channel"},
		"events":     {"url": n.URL + "/events", "token": "pl4nted-bearer"},
		"prometheus": {"bearerToken": "pl4nted-prometheus"},
		"source":     {"token": "pl4nted-source"},
		"keys":       {"keys.agekey": read("../../reconciler/sops/testdata/keys.agekey")},
		"images":     docker("oci"),
		"pull":       docker("pull"),
	}
}

const plantedRegistry = `
  credentials: git
  committer: {signingKey: {secret: commits, key: key}}
  forge: {kind: Gitea, secret: forge}
  images: {secret: images}
  notifications:
  - {name: channel, kind: Slack, secret: channel, states: [Healthy, Failed, RolledBack, Held, Waiting]}
  - {name: events, kind: CloudEvents, secret: events, states: [Healthy, Failed, RolledBack, Held, Waiting]}
  environments:
  - name: staging
    namespaces: [staging]
    pullSecrets: [pull]
    sources: [{prefix: "HOST/weights", secret: source}]
    prometheus: {url: "HOST", secret: prometheus}
  - name: production
    namespaces: [production]
    pullSecrets: [pull]
    decryption: keys
`

// TestPlanted gives a controller every kind of credential, and has each refused by a server that tells it back: none is in the log, the
// metrics, the traces, the page, what commands print or Git. What was written to the API server and the OCI registry is searched when
// the cluster stops.
func TestPlanted(t *testing.T) {
	t.Parallel()
	var n *nosy
	w := newWatchedOf(t, func(w *watched) string {
		n = newNosy(t, w.dir)
		return strings.Replace(strings.Split(watchedRegistry, "  environments:")[0], "DIR", n.URL+"/ml/models.git", 1) + strings.ReplaceAll(plantedRegistry, "HOST", n.URL)[1:]
	})
	w.run("cp", "models/iris/versions/v2.yaml", "models/iris/versions/v4.yaml")
	w.edit("models/iris/versions/v4.yaml", "source: models/iris/files/v2/", "source: "+n.URL+"/weights/")
	sealed, err := filepath.Abs("../../reconciler/sops/testdata/age.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w.run("mkdir", "releases/iris/production")
	w.run("cp", sealed, "releases/iris/production/token.yaml")
	component := "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [token.yaml]\n"
	if err := os.WriteFile(filepath.Join(w.dir, "releases/iris/production/kustomization.yaml"), []byte(component), 0o600); err != nil {
		t.Fatal(err)
	}
	w.commit("a sealed Secret")
	secrets := n.secrets(t)
	for name, data := range secrets {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: data}
		if data[corev1.DockerConfigJsonKey] != "" {
			s.Type = corev1.SecretTypeDockerConfigJson
		}
		if _, err := w.client.CoreV1().Secrets("davit").Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: n.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	w.env = []string{
		"SSL_CERT_FILE=" + authority, "HF_TOKEN=hf_pl4nted", "AWS_SECRET_ACCESS_KEY=pl4nted-s3", "AWS_ACCESS_KEY_ID=ada",
		"OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20pl4nted-otlp",
	}
	hook := w.free()
	p := w.control("--ui=127.0.0.1:0", "--webhook="+hook)

	w.until("the wrong password is told of", func() bool { return strings.Contains(w.registry(), "check the credentials") })
	patch := []byte(`{"stringData": {"password": "pl4nted-git"}}`)
	if _, err := w.client.CoreV1().Secrets("davit").Patch(t.Context(), "git", "application/merge-patch+json", patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	p.comes(inProduction, v1alpha1.Healthy, 1)
	p.comes(inStaging, v1alpha1.Healthy, 1)
	for secret, want := range map[string]int{"pl4nted-guess": http.StatusUnauthorized, "pl4nted-webhook": http.StatusNoContent} {
		if got := deliver(t, "http://"+hook+"/hooks/models", secret); got != want {
			t.Errorf("a webhook by %s: %d", secret, got)
		}
	}
	w.edit("releases/iris/staging.yaml", "version: v1", "version: v4")
	w.edit("releases/iris/production.yaml", "version: v1", "version: v3")
	w.commit("v4 to staging, v3 to production")
	p.comes(inProduction, v1alpha1.RolledBack, 1)
	p.comes(inStaging, v1alpha1.Waiting, 1)
	n.open.Store(true)
	p.comes(inStaging, v1alpha1.Healthy, 2)
	w.until("the trouble with notifications is told of", func() bool { return strings.Contains(w.registry(), "Notified") })
	w.until("outcomes are in Git", func() bool { return strings.Contains(w.run("git", "log", "--all", "--notes=davit"), "RolledBack") })
	for _, kind := range []string{"git-wrong", "git", "forge", "channel", "bearer", "source"} {
		if _, ok := n.sent.Load("pl4nted-" + kind); !ok {
			t.Errorf("pl4nted-%s was never sent", kind)
		}
	}
	w.searched(p)
}

// deliver sends what Gitea sends after a push, signed by a secret.
func deliver(t *testing.T, url, secret string) int {
	const body = `{"ref":"refs/heads/main"}`
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Gitea-Event", "push")
	req.Header.Set("X-Gitea-Signature", hex.EncodeToString(mac.Sum(nil)))
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

// registry is the status of the ModelRegistry.
func (w *watched) registry() string {
	o, err := w.dynamic.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.RegistryResource)).Namespace("davit").Get(w.t.Context(), "models", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprint(o.Object["status"])
}

// searched looks for planted credentials in all that a controller told, but to the API server and the OCI registry.
func (w *watched) searched(p *process) {
	w.t.Helper()
	if err := planted.Git(w.dir); err != nil {
		w.t.Error(err)
	}
	log, err := os.ReadFile(p.log)
	if err != nil {
		w.t.Fatal(err)
	}
	told := map[string]string{"the log": string(log), "metrics": w.get("http://" + p.address + "/metrics"), "traces": w.spans.text()}
	for _, path := range []string{"/", "/models", "/models/releases/production/iris", "/models/releases/staging/iris", "/models/gpus", "/api/v1/registries", "/api/v1/registries/models/releases"} {
		told["the page's "+path] = w.get(p.page() + path)
	}
	for _, command := range []string{"status", "history", "plan --live", "plan --base HEAD~1", "drift", "doctor", "why deployment/iris -n production", "why secret/iris-token -n production", "render production/iris", "verify"} {
		args := strings.Fields(command)
		cmd := exec.CommandContext(w.t.Context(), "davit", args...)
		cmd.Dir, cmd.Env = w.dir, slices.Concat(os.Environ(), w.env, []string{"KUBECONFIG=" + w.dev.Kubeconfig, "GIT_CONFIG_GLOBAL=/dev/null", "HOME=" + w.t.TempDir()})
		out, _ := cmd.CombinedOutput() // what they find is not all well
		told["davit "+command] = string(out)
	}
	for place, text := range told {
		if len(text) < 20 {
			w.t.Errorf("%s is %q: nothing to search", place, text)
		}
		if word := planted.Find([]byte(text)); word != "" {
			w.t.Errorf("%s holds %s:\n%s", place, word, text)
		}
	}
}
