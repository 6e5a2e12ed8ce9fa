package devcluster

import (
	"encoding/json"
	"fmt"
	"os"
)

// writeKubeconfig writes a kubeconfig (as JSON, which is YAML) that holds the authority's certificate itself,
// so that the file can be copied anywhere on the machine.
func writeKubeconfig(path, server, caFile, token string) error {
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return fmt.Errorf("writing kubeconfig: %w", err)
	}
	const name = "devcluster"
	data, err := json.MarshalIndent(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": name,
		"clusters": []any{map[string]any{"name": name, "cluster": map[string]any{"server": server, "certificate-authority-data": ca}}},
		"users":    []any{map[string]any{"name": name, "user": map[string]any{"token": token}}},
		"contexts": []any{map[string]any{"name": name, "context": map[string]any{"cluster": name, "user": name}}},
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("writing kubeconfig: %w", err)
	}
	return os.WriteFile(path, data, 0o600)
}
