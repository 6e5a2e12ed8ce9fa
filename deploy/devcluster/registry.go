package devcluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
)

// startRegistry starts an OCI registry on loopback, kept in the folder registry, and returns host:port.
func (s *supervisor) startRegistry(ctx context.Context) (string, error) {
	ports, err := freePorts(1)
	if err != nil {
		return "", err
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	config, err := json.MarshalIndent(map[string]any{
		"version": "0.1",
		"log":     map[string]any{"level": "warn", "accesslog": map[string]any{"disabled": true}},
		"storage": map[string]any{
			"filesystem": map[string]any{"rootdirectory": s.path("registry")},
			"delete":     map[string]any{"enabled": true},
		},
		"http": map[string]any{"addr": address, "secret": s.record.ID},
	}, "", "  ")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(s.path("registry.yaml"), config, 0o600); err != nil {
		return "", err
	}
	registry, err := s.start("registry", []string{"OTEL_TRACES_EXPORTER=none"}, "serve", s.path("registry.yaml"))
	if err != nil {
		return "", err
	}
	return address, registry.until(ctx, func(ctx context.Context) error { return registryAnswers(ctx, address) })
}

// registryAnswers asks the API's version check (distribution-spec, end-1).
func registryAnswers(ctx context.Context, address string) error {
	return answers(ctx, "http://"+address+"/v2/")
}

// answers asks for something that a server has when it is up.
func answers(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("asking %s: %s", url, response.Status)
	}
	return nil
}
