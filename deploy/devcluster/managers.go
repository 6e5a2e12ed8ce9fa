package devcluster

import (
	"context"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// manager is the real controller of a third-party API.
type manager struct {
	part     Part
	binary   string
	config   string // apiVersion of its configuration file
	webhooks string // folder, in its module, whose Kustomization is its webhooks
	// settings are added to its configuration, and replace what all managers have.
	settings map[string]any
	// groups are the API groups whose objects its webhooks are asked about; nil for all.
	groups []string
	// secret is "namespace/name" of an empty Secret that it must find.
	secret string
}

// Controllers are the names that Config.Controllers may hold.
func Controllers() []string {
	var names []string
	for _, t := range thirdParties {
		if t.controller != "" {
			names = append(names, t.controller)
		}
	}
	return names
}

// managers are the APIs whose managers are asked for.
func (c Config) managers() []thirdParty {
	return slices.DeleteFunc(c.apis(), func(t thirdParty) bool { return t.manager == nil || !slices.Contains(c.Controllers, t.controller) })
}

// startManagers starts them as processes of this machine, each with all its webhooks, and returns when they work.
func (s *supervisor) startManagers(ctx context.Context, c *controlPlane) error {
	var waits []func() error
	for _, t := range s.config.managers() {
		ports, err := freePorts(1)
		if err != nil {
			return err
		}
		if err := c.api.emptySecret(ctx, t.manager.secret); err != nil {
			return fmt.Errorf("starting %s: %w", t.manager.binary, err)
		}
		p, err := s.startManager(c, t.manager, ports[0])
		if err != nil {
			return err
		}
		waits = append(waits, func() error { return s.registerWebhooks(ctx, c, t, p, fmt.Sprintf("https://127.0.0.1:%d", ports[0])) })
	}
	var failed []error
	for _, wait := range waits {
		failed = append(failed, wait())
	}
	return errors.Join(failed...)
}

// startManager gives it a certificate of the cluster's own authority: its own would need a Service and a Secret of
// the namespace that it runs in elsewhere.
func (s *supervisor) startManager(c *controlPlane, m *manager, port int) (*process, error) {
	dir := c.pki.path(m.binary)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := c.pki.issue(m.binary+"/tls", pkix.Name{CommonName: m.binary}, "127.0.0.1"); err != nil {
		return nil, err
	}
	const off = "0"
	settings := map[string]any{
		"apiVersion": m.config, "kind": "Configuration",
		"webhook":                map[string]any{"host": "127.0.0.1", "port": port, "certDir": dir},
		"internalCertManagement": map[string]any{"enable": false},
		"leaderElection":         map[string]any{"leaderElect": false},
		"metrics":                map[string]any{"bindAddress": off},
		"health":                 map[string]any{"healthProbeBindAddress": off},
	}
	maps.Copy(settings, m.settings)
	config, err := json.MarshalIndent(settings, "", "  ")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "config.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	// Its log would be mostly stack traces: of each conflict, and of each question whether a webhook is there.
	return s.start(m.binary, nil, "--kubeconfig="+c.kubeconfig, "--config="+file, "--zap-stacktrace-level=panic")
}

// webhookConfiguration is the part of a Mutating- or ValidatingWebhookConfiguration that is rewritten.
type webhookConfiguration struct {
	APIVersion string           `json:"apiVersion"`
	Kind       string           `json:"kind"`
	Metadata   map[string]any   `json:"metadata"`
	Webhooks   []map[string]any `json:"webhooks"`
}

// registerWebhooks waits for each webhook and only then has the API server call it: most refuse every object while
// they do not answer.
func (s *supervisor) registerWebhooks(ctx context.Context, c *controlPlane, t thirdParty, p *process, server string) error {
	configurations, err := s.webhooks(ctx, c, t, server)
	if err != nil {
		return fmt.Errorf("reading the webhooks of %s: %w", p.name, err)
	}
	for _, w := range configurations {
		for _, webhook := range w.Webhooks {
			url := webhook["clientConfig"].(map[string]any)["url"].(string)
			if err := p.until(ctx, func(ctx context.Context) error { return c.api.webhookAnswers(ctx, url) }); err != nil {
				return err
			}
		}
		resource := strings.ToLower(w.Kind) + "s"
		if err := c.api.call(ctx, http.MethodPost, "/apis/"+w.APIVersion+"/"+resource, w, nil); err != nil {
			return fmt.Errorf("registering the webhooks of %s: %w", p.name, err)
		}
	}
	return nil
}

// webhooks are the configurations in the manager's module, with the server's URL where they name a Service. kubectl
// makes JSON of them, and applies the patches beside them that keep the webhooks to the manager's own pods.
func (s *supervisor) webhooks(ctx context.Context, c *controlPlane, t thirdParty, server string) ([]webhookConfiguration, error) {
	dir := filepath.Join(s.modules[t.name], filepath.FromSlash(t.manager.webhooks))
	out, err := exec.CommandContext(ctx, s.binaries["kubectl"], "--kubeconfig="+c.kubeconfig, "create", "--dry-run=client", "--validate=false", "-o", "json", "-k", dir).Output()
	if err != nil {
		return nil, fmt.Errorf("running kubectl create -k %s: %w", dir, err)
	}
	ca, err := os.ReadFile(c.pki.path("ca.crt"))
	if err != nil {
		return nil, err
	}
	var found []webhookConfiguration
	for objects := json.NewDecoder(strings.NewReader(string(out))); ; {
		var w webhookConfiguration
		if err := objects.Decode(&w); err == io.EOF {
			return found, nil
		} else if err != nil {
			return nil, err
		}
		w.Webhooks = slices.DeleteFunc(w.Webhooks, t.manager.leavesOut)
		if len(w.Webhooks) == 0 {
			continue // the Service
		}
		w.Metadata = map[string]any{"name": fmt.Sprint(t.pinned, "-", w.Metadata["name"])}
		for _, webhook := range w.Webhooks {
			service := webhook["clientConfig"].(map[string]any)["service"].(map[string]any)
			webhook["clientConfig"] = map[string]any{"url": server + service["path"].(string), "caBundle": ca}
		}
		found = append(found, w)
	}
}

// leavesOut says that a webhook is for objects that no cluster here has, or that the manager would let pass.
func (m *manager) leavesOut(webhook map[string]any) bool {
	if m.groups == nil {
		return false
	}
	rules, _ := webhook["rules"].([]any)
	return !slices.ContainsFunc(rules, func(rule any) bool {
		groups, _ := rule.(map[string]any)["apiGroups"].([]any)
		return slices.ContainsFunc(groups, func(group any) bool { return slices.Contains(m.groups, fmt.Sprint(group)) })
	})
}

// emptySecret makes it, and its namespace; "" is none.
func (a *api) emptySecret(ctx context.Context, secret string) error {
	namespace, name, some := strings.Cut(secret, "/")
	if !some {
		return nil
	}
	if err := a.call(ctx, http.MethodPost, "/api/v1/namespaces", map[string]any{"metadata": map[string]any{"name": namespace}}, nil); err != nil {
		return err
	}
	return a.call(ctx, http.MethodPost, "/api/v1/namespaces/"+namespace+"/secrets", map[string]any{"metadata": map[string]any{"name": name}}, nil)
}

// webhookAnswers asks for nothing: a manager that has this webhook says that it can't read the request.
func (a *api) webhookAnswers(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return err
	}
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode == http.StatusNotFound {
		return fmt.Errorf("there is no webhook at %s", url)
	}
	return nil
}
