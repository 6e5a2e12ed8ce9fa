package reconciler_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// private serves a world's repository as team/models, behind TLS, with the real git http-backend, to whoever has the
// password of ada. What comes to the API of a forge beside it is refused and remembered.
type private struct {
	*httptest.Server
	password atomic.Value // string
	tokens   sync.Map     // that the forge was asked with
}

func (w *world) private(password string) *private {
	w.t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		w.t.Fatal(err)
	}
	w.git("config", "http.receivepack", "true")
	backend := &cgi.Handler{Path: git, Args: []string{"http-backend"}, Env: []string{"GIT_PROJECT_ROOT=" + w.dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null"}}
	p := &private{}
	p.password.Store(password)
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		path, ok := strings.CutPrefix(req.URL.Path, "/team/models.git")
		if !ok {
			p.tokens.Store(req.Header.Get("Authorization"), true)
			http.Error(rw, "", http.StatusForbidden)
			return
		}
		if user, got, _ := req.BasicAuth(); user != "ada" || got != p.password.Load() {
			http.Error(rw, "you sent "+got, http.StatusUnauthorized)
			return
		}
		req.URL.Path = "/.git" + path
		backend.ServeHTTP(rw, req)
	}))
	p.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	p.StartTLS()
	w.t.Cleanup(p.Close)
	return p
}

func (p *private) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
}

// secret makes or replaces a Secret.
func (w *world) secret(namespace, name string, data map[string]string) {
	w.t.Helper()
	secrets := w.kubectl().CoreV1().Secrets(namespace)
	object := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: data}
	_, err := secrets.Create(w.t.Context(), object, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = secrets.Update(w.t.Context(), object, metav1.UpdateOptions{})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// hooked runs a controller that receives webhooks; everything it logs is in the returned text.
func (w *world) hooked(namespace string) (hook func() http.Handler, logged func() string) {
	w.t.Helper()
	handler := atomic.Value{}
	log := w.controlled(namespace, func(c *reconciler.ControllerConfig) {
		c.Hook = func(_ string, h http.Handler) func() {
			handler.Store(&h)
			return func() {}
		}
	})
	return func() http.Handler {
		h, _ := handler.Load().(*http.Handler)
		if h == nil {
			return nil
		}
		return *h
	}, log.String
}

func (w *world) patchRaw(registries dynamic.ResourceInterface, patch string) {
	w.t.Helper()
	if _, err := registries.Patch(w.t.Context(), "models", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// ready waits for a ModelRegistry's condition.
func (w *world) ready(registries dynamic.ResourceInterface, status, message string) {
	w.t.Helper()
	var had []any
	defer func() {
		if w.t.Failed() {
			w.t.Logf("conditions: %v", had)
		}
	}()
	w.eventually("Ready "+status+": "+message, func() bool {
		live, err := registries.Get(w.t.Context(), "models", get)
		if err != nil {
			w.t.Fatal(err)
		}
		had, _, _ = unstructured.NestedSlice(live.Object, "status", "conditions")
		for _, c := range had {
			c := c.(map[string]any)
			if c["type"] == "Ready" && c["status"] == status {
				text, _ := c["message"].(string)
				return strings.Contains(text, message)
			}
		}
		return false
	})
}

// TestCredentialsFollowTheSecret: a Secret that is missing, lacks a key, has a wrong password and then the right one, and a
// password that is changed at the server and then in the Secret: each is told or healed at once, although the repository is
// looked at once an hour, and without a restart. No password is in the log or in any of davit's objects.
func TestCredentialsFollowTheSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.private("pl4nted-one")
	namespace := w.id + "-davit"
	registries := w.grantRegistry(namespace)
	w.patchRaw(registries, `{"spec":{"url":"`+p.URL+`/team/models.git","credentials":"git","interval":"1h"}}`)
	_, logged := w.hooked(namespace)
	w.ready(registries, "False", "spec.credentials: there is no Secret "+namespace+"/git; make it: kubectl create secret generic -n "+namespace+" git --from-literal=username=NAME")
	w.secret(namespace, "git", map[string]string{"password": "pl4nted-one"})
	w.ready(registries, "False", "spec.credentials: Secret "+namespace+"/git: there is no key username")
	w.secret(namespace, "git", map[string]string{"username": "ada", "password": "pl4nted-one"})
	w.ready(registries, "False", "name its certificate authority (ca.crt)")
	w.secret(namespace, "git", map[string]string{"username": "ada", "password": "pl4nted-one", "ca.crt": p.ca()})
	w.until(production, "v1", v1alpha1.Healthy)
	w.ready(registries, "True", "")

	p.password.Store("pl4nted-two")
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("v2")
	w.secret(namespace, "git", map[string]string{"username": "ada", "password": "pl4nted-wrong", "ca.crt": p.ca()})
	w.ready(registries, "False", "check the credentials of the repository")
	began := time.Now()
	w.secret(namespace, "git", map[string]string{"username": "ada", "password": "pl4nted-two", "ca.crt": p.ca()})
	w.until(production, "v2", v1alpha1.Healthy)
	t.Logf("v2 was healthy %s after the Secret had the new password", time.Since(began))
	w.ready(registries, "True", "")
	if text := logged(); strings.Contains(text, "begins anew") || strings.Contains(text, "pl4nted") {
		t.Errorf("the log:\n%s", text)
	}
	w.noPassword(registries)
}

// noPassword looks for a password in davit's objects.
func (w *world) noPassword(registries dynamic.ResourceInterface) {
	w.t.Helper()
	live, err := registries.Get(w.t.Context(), "models", get)
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := live.MarshalJSON()
	if err != nil {
		w.t.Fatal(err)
	}
	events, err := w.kubectl().EventsV1().Events(w.namespace("production")).List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	all := string(text) + w.status("production").Message + w.git("log", "-p", "--all")
	for _, e := range events.Items {
		all += e.Note
	}
	if strings.Contains(all, "pl4nted") {
		w.t.Errorf("a password is in %s", all)
	}
}

// TestSecretsOfTheForge: the forge is asked by the repository's own authority, and its token and the secret of its webhooks
// are replaced without a restart.
func TestSecretsOfTheForge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.private("pl4nted-git")
	namespace := w.id + "-davit"
	registries := w.grantRegistry(namespace)
	w.secret(namespace, "git", map[string]string{"username": "ada", "password": "pl4nted-git", "ca.crt": p.ca()})
	w.patchRaw(registries, `{"spec":{"url":"`+p.URL+`/team/models.git","credentials":"git","interval":"1h","forge":{"kind":"Gitea","secret":"forge"}}}`)
	hook, _ := w.hooked(namespace)
	w.ready(registries, "False", "spec.forge.secret: there is no Secret "+namespace+"/forge; make it")
	w.secret(namespace, "forge", map[string]string{"webhook": "pl4nted-webhook-1"})
	w.ready(registries, "False", "has no key token")
	w.secret(namespace, "forge", map[string]string{"token": "pl4nted-forge-1", "webhook": "pl4nted-webhook-1"})
	w.until(production, "v1", v1alpha1.Healthy)
	asked := func(token string) func() bool {
		return func() bool {
			_, ok := p.tokens.Load("Bearer " + token)
			return ok
		}
	}
	w.eventually("asked with the token", asked("pl4nted-forge-1"))
	deliver := func(secret string) int {
		const body = `{"ref":"refs/heads/main"}`
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		req := httptest.NewRequest(http.MethodPost, "/hooks/models", strings.NewReader(body))
		req.Header.Set("X-Gitea-Event", "push")
		req.Header.Set("X-Gitea-Signature", hex.EncodeToString(mac.Sum(nil)))
		rec := httptest.NewRecorder()
		hook().ServeHTTP(rec, req)
		return rec.Code
	}
	if code := deliver("pl4nted-webhook-1"); code != http.StatusNoContent {
		t.Fatalf("a delivery: %d", code)
	}
	w.secret(namespace, "forge", map[string]string{"token": "pl4nted-forge-2", "webhook": "pl4nted-webhook-2"})
	w.eventually("taking the new secret", func() bool { return deliver("pl4nted-webhook-2") == http.StatusNoContent })
	if code := deliver("pl4nted-webhook-1"); code != http.StatusUnauthorized {
		t.Errorf("a delivery with the secret of before: %d", code)
	}
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("v2")
	deliver("pl4nted-webhook-2")
	w.until(production, "v2", v1alpha1.Healthy)
	w.eventually("asked with the new token", asked("pl4nted-forge-2"))
}

// signingKey is a private key as ssh-keygen writes it, and its public half as a line of allowed signers.
func signingKey(t *testing.T) (private, signer string) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block)), "davit@davit.dev " + string(ssh.MarshalAuthorizedKey(line))
}

// TestSecretsThatAreReadOnce: following begins anew when the signing key or the kubeconfig of another cluster is replaced,
// and not for a label.
func TestSecretsThatAreReadOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	namespace := w.id + "-davit"
	registries := w.grantRegistry(namespace)
	w.patchRaw(registries, `{"spec":{"committer":{"signingKey":{"secret":"signing","key":"key"}}}}`)
	if _, err := registries.Patch(t.Context(), "models", types.JSONPatchType, []byte(`[{"op":"add","path":"/spec/environments/0/cluster","value":{"secret":"far","key":"kubeconfig"}}]`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	_, logged := w.hooked(namespace)
	w.ready(registries, "False", namespace+"/far")
	kubeconfig, err := os.ReadFile(dev.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	w.secret(namespace, "far", map[string]string{"kubeconfig": "apiVersion: v1"})
	w.ready(registries, "False", "kubeconfig")
	w.secret(namespace, "far", map[string]string{"kubeconfig": string(kubeconfig)})
	w.ready(registries, "False", namespace+"/signing")
	first, firstSigner := signingKey(t)
	w.secret(namespace, "signing", map[string]string{"key": first})
	w.until(production, "v1", v1alpha1.Healthy)
	w.eventually("signed by the first key", func() bool { return w.notesSigned(firstSigner) })

	anew := func() int { return strings.Count(logged(), "begins anew") }
	before := anew()
	label := []byte(`{"metadata":{"labels":{"rotated":"not"}}}`)
	if _, err := w.kubectl().CoreV1().Secrets(namespace).Patch(t.Context(), "signing", types.MergePatchType, label, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	second, secondSigner := signingKey(t)
	w.secret(namespace, "signing", map[string]string{"key": second})
	w.eventually("begun anew", func() bool { return anew() > before })
	w.edit("releases/iris/production.yaml", "version: v1", "version: v2")
	w.commit("v2")
	w.until(production, "v2", v1alpha1.Healthy)
	w.eventually("signed by the second key", func() bool { return w.notesSigned(secondSigner) })
	if again := anew() - before; again != 1 {
		t.Errorf("begun anew %d times for a label and a key", again)
	}
	w.secret(namespace, "far", map[string]string{"kubeconfig": string(kubeconfig) + "\n# rotated\n"})
	w.eventually("begun anew for the kubeconfig", func() bool { return anew() == before+2 })
}

// notesSigned says whether the newest commit of the outcomes is signed by a key.
func (w *world) notesSigned(signer string) bool {
	w.t.Helper()
	signers, err := gitops.ParseSigners(signer)
	if err != nil {
		w.t.Fatal(err)
	}
	source, err := gitops.Open(w.t.Context(), gitops.Config{URL: w.dir})
	if err != nil {
		w.t.Fatal(err)
	}
	defer source.Close()
	h, err := source.Resolve(w.t.Context(), "refs/notes/davit")
	if err != nil {
		return false
	}
	_, err = source.Verify(w.t.Context(), h, signers)
	return err == nil
}
