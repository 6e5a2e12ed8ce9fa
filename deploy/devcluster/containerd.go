package devcluster

import (
	"context"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const pauseImage = "localhost/devcluster/pause:1"

// nodeSubject is a node's name in a certificate (Kubernetes, "Using Node Authorization").
func nodeSubject(name string) pkix.Name {
	return pkix.Name{CommonName: "system:node:" + name, Organization: []string{"system:nodes"}}
}

// startContainerd starts a containerd whose every path is below the state folder, and gives it the pause image.
func (s *supervisor) startContainerd(ctx context.Context, registries ...string) error {
	if err := s.writeRegistryHosts(registries); err != nil {
		return err
	}
	if err := s.writeCNI(); err != nil {
		return err
	}
	if err := os.WriteFile(s.path("containerd.toml"), []byte(s.containerdConfig()), 0o600); err != nil {
		return err
	}
	containerd, err := s.start("containerd", nil, "--config="+s.path("containerd.toml"))
	if err != nil {
		return err
	}
	if err := s.writePauseImage(ctx); err != nil {
		return err
	}
	return containerd.until(ctx, func(ctx context.Context) error {
		// The namespace is the one of the CRI plugin.
		out, err := exec.CommandContext(ctx, s.binaries["ctr"], "--address="+s.record.containerdSocket(), "--namespace=k8s.io", "images", "import", "--local", s.path("pause.tar")).CombinedOutput()
		if err != nil {
			return fmt.Errorf("importing the pause image: %w: %s", err, out)
		}
		return nil
	})
}

func (s *supervisor) containerdConfig() string {
	return fmt.Sprintf(`version = 3
root = %[1]q
state = %[2]q
[grpc]
address = %[3]q
[plugins.'io.containerd.internal.v1.opt']
path = %[4]q
[plugins.'io.containerd.nri.v1.nri']
disable = true
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = %[5]q
[plugins.'io.containerd.cri.v1.images'.registry]
config_path = %[6]q
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = [%[7]q]
conf_dir = %[8]q
[plugins.'io.containerd.cri.v1.runtime'.containerd]
default_runtime_name = 'runc'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'
runtime_path = %[9]q
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = %[10]q
Root = %[11]q
SystemdCgroup = false
`, s.path("containerd"), s.path("containerd-state"), s.record.containerdSocket(), s.path("opt"), pauseImage, s.path("certs.d"),
		filepath.Dir(s.binaries["bridge"]), s.path("cni"), s.binaries["containerd-shim-runc-v2"], s.binaries["runc"], s.path("runc"))
}

// writeRegistryHosts allows plain http to the cluster's own registry under each of its names.
func (s *supervisor) writeRegistryHosts(registries []string) error {
	if err := os.MkdirAll(s.path("certs.d"), 0o755); err != nil {
		return err
	}
	for _, registry := range registries {
		if registry == "" {
			continue
		}
		dir := filepath.Join(s.path("certs.d"), registry)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		url := "http://" + registry
		hosts := fmt.Sprintf("server = %q\n[host.%q]\ncapabilities = [\"pull\", \"resolve\"]\n", url, url)
		if err := os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(hosts), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// writeCNI puts pods on the cluster's bridge. There is no way out from it but to the host.
func (s *supervisor) writeCNI() error {
	bridge := map[string]any{
		"type": "bridge", "bridge": s.record.Bridge, "isGateway": true,
		"ipam": map[string]any{
			"type": "host-local", "dataDir": s.path("cni/addresses"),
			"ranges": []any{[]any{map[string]any{"subnet": s.net.podRange()}}},
			"routes": []any{map[string]any{"dst": "0.0.0.0/0"}},
		},
	}
	config, err := json.MarshalIndent(map[string]any{"cniVersion": "1.0.0", "name": s.record.Bridge, "plugins": []any{bridge}}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.path("cni"), 0o755); err != nil {
		return err
	}
	return os.WriteFile(s.path("cni/10-devcluster.conflist"), config, 0o644)
}

func (s *supervisor) writePauseImage(ctx context.Context) error {
	if err := compileOwn(ctx, packagePath+"/pause", s.path("pause")); err != nil {
		return err
	}
	binary, err := os.ReadFile(s.path("pause"))
	if err != nil {
		return err
	}
	image, err := NewImage(map[string][]byte{"/pause": binary}, "/pause")
	if err != nil {
		return err
	}
	return image.WriteLayout(s.path("pause.tar"), pauseImage)
}
