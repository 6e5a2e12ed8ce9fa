package devcluster

import (
	"strings"
	"testing"
)

// TestPlanted: a cluster's end is an error where something other than a Secret holds what a test planted, whatever became of it since.
func TestPlanted(t *testing.T) {
	c, err := Start(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	kubectl(t, c, "create", "secret", "generic", "git", "--from-literal=password=pl4nted-secret")
	kubectl(t, c, "create", "configmap", "told", "--from-literal=url=https://ada:pl4nted-git@git.example.com")
	kubectl(t, c, "delete", "configmap", "told")
	for range 2 {
		err := c.Stop()
		if err == nil || !strings.Contains(err.Error(), "create /api/v1/namespaces/default/configmaps?") || !strings.Contains(err.Error(), "by kubectl/") || !strings.Contains(err.Error(), "holds pl4nted-git") {
			t.Errorf("stopped with %v", err)
		}
		if strings.Contains(err.Error(), "pl4nted-secret") {
			t.Errorf("a Secret was searched: %v", err)
		}
	}
}
