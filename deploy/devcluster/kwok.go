package devcluster

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// startKwok adds simulated nodes: pods scheduled there become ready, and Jobs complete, with nothing run.
func (s *supervisor) startKwok(ctx context.Context, c *controlPlane) error {
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	const fake = "kwok.x-k8s.io/node"
	args := []string{"--kubeconfig=" + c.kubeconfig, "--manage-nodes-with-annotation-selector=" + fake + "=fake",
		"--cidr=" + s.net.simulatedPods(), "--node-ip=127.0.0.1", fmt.Sprintf("--server-address=127.0.0.1:%d", ports[0])}
	builtin, err := kwokStages(ctx)
	if err != nil {
		return err
	}
	for _, stages := range append(builtin, s.config.Stages...) {
		args = append(args, "--config="+stages)
	}
	// Its default configuration would come from the user's home otherwise.
	kwok, err := s.start("kwok", []string{"HOME=" + s.path("kwok"), "KWOK_WORKDIR=" + s.path("kwok")}, args...)
	if err != nil {
		return err
	}
	for i := range s.config.Nodes {
		if err := c.api.call(ctx, http.MethodPost, "/api/v1/nodes", simulatedNode(i, s.config.GPUs), nil); err != nil {
			return fmt.Errorf("adding simulated node %d: %w", i, err)
		}
	}
	return kwok.until(ctx, func(ctx context.Context) error {
		for i := range s.config.Nodes {
			if err := c.api.nodeReady(ctx, simulatedName(i)); err != nil {
				return err
			}
		}
		return nil
	})
}

// kwokStages are the stages of kwok's own module that make nodes and pods ready: its binary holds none.
func kwokStages(ctx context.Context) ([]string, error) {
	source, err := sourceDir(ctx)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok")
	cmd.Dir = filepath.Join(source, "build", "kwok")
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("finding kwok's stages: %w", err)
	}
	stages := filepath.Join(strings.TrimSpace(string(out)), "kustomize", "stage")
	var files []string
	for _, name := range []string{
		"node/fast/node-initialize.yaml", "node/heartbeat/node-heartbeat.yaml",
		"pod/fast/pod-ready.yaml", "pod/fast/pod-complete.yaml", "pod/fast/pod-delete.yaml",
	} {
		files = append(files, filepath.Join(stages, filepath.FromSlash(name)))
	}
	return files, nil
}

func simulatedName(i int) string { return fmt.Sprintf("sim-%d", i) }

func simulatedNode(i, gpus int) map[string]any {
	capacity := map[string]string{"cpu": "1000", "memory": "4Ti", "ephemeral-storage": "4Ti", "pods": "100000"}
	if gpus > 0 {
		capacity["nvidia.com/gpu"] = fmt.Sprint(gpus)
	}
	name := simulatedName(i)
	return map[string]any{
		"apiVersion": "v1", "kind": "Node",
		"metadata": map[string]any{
			"name":        name,
			"annotations": map[string]string{"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"},
			"labels":      map[string]string{"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "type": "kwok"},
		},
		"status": map[string]any{"capacity": capacity, "allocatable": capacity},
	}
}

// nodeReady fails until the node reports that it is ready and the scheduler may use it.
func (a *api) nodeReady(ctx context.Context, name string) error {
	var node struct {
		Spec struct {
			Taints []struct{ Key string }
		}
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := a.call(ctx, http.MethodGet, "/api/v1/nodes/"+name, nil, &node); err != nil {
		return err
	}
	if len(node.Spec.Taints) > 0 {
		return fmt.Errorf("node %s has the taint %s", name, node.Spec.Taints[0].Key)
	}
	for _, c := range node.Status.Conditions {
		if c.Type == "Ready" && c.Status == "True" {
			return nil
		}
	}
	return fmt.Errorf("node %s is not ready", name)
}
