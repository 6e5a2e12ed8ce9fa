package devcluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// realNode is a kubelet on a containerd of its own, with a bridge that only its pods are on.
type realNode struct {
	name     string
	registry string // host:port of the registry as pods reach it
	forge    string // URL of the forge as pods reach it
	api      *api
}

func nodeName(id string) string { return "node-" + id }

// startRealNode brings the node up and returns when it is ready for pods. The bridge comes first: the node's
// address, and what pods reach of the host, are on it.
func (s *supervisor) startRealNode(ctx context.Context, c *controlPlane, registry, forge string) (*realNode, error) {
	n := &realNode{name: nodeName(s.record.ID), api: c.api}
	if err := s.makeBridge(ctx); err != nil {
		return nil, err
	}
	if err := s.forwardToHost(c, registry, forge, n); err != nil {
		return nil, err
	}
	if err := s.startContainerd(ctx, registry, n.registry); err != nil {
		return nil, err
	}
	if err := s.startDNS(ctx, c); err != nil {
		return nil, err
	}
	kubelet, err := s.startKubelet(c, n.name)
	if err != nil {
		return nil, err
	}
	if err := kubelet.until(ctx, func(ctx context.Context) error { return c.api.nodeReady(ctx, n.name) }); err != nil {
		return nil, err
	}
	return n, n.setGPUs(ctx, s.config.GPUs)
}

// makeBridge makes the bridge with the pods' gateway and the address of the kubernetes service on it. The CNI
// plugin finds it there. Linux limits an interface's name to 15 bytes.
func (s *supervisor) makeBridge(ctx context.Context) error {
	s.record.Bridge = "dvt" + s.record.ID
	if err := s.record.save(); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"link", "add", s.record.Bridge, "type", "bridge"},
		{"address", "add", s.net.gateway() + "/24", "dev", s.record.Bridge},
		{"address", "add", s.net.service(1) + "/32", "dev", s.record.Bridge},
		{"link", "set", s.record.Bridge, "up"},
	} {
		if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("making bridge %s: ip %s: %w: %s", s.record.Bridge, strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// forwardToHost lets pods reach the API server, by the kubernetes service's address that their service account
// is told (there is no kube-proxy), the registry and the forge.
func (s *supervisor) forwardToHost(c *controlPlane, registry, forge string, n *realNode) error {
	target := strings.TrimPrefix(c.server, "https://")
	forwards := [][2]string{{s.net.service(1) + ":443", target}, {fmt.Sprintf("%s:%d", s.net.gateway(), c.port), target}}
	if registry != "" {
		n.registry = s.net.gateway() + registry[strings.LastIndexByte(registry, ':'):]
		forwards = append(forwards, [2]string{n.registry, registry})
	}
	if forge != "" {
		address := strings.TrimPrefix(forge, "http://")
		reached := s.net.gateway() + address[strings.LastIndexByte(address, ':'):]
		n.forge = "http://" + reached
		forwards = append(forwards, [2]string{reached, address})
	}
	for _, f := range forwards {
		p, err := startProxy(f[0], f[1])
		if err != nil {
			return err
		}
		s.proxies = append(s.proxies, p)
	}
	return nil
}

func (s *supervisor) startKubelet(c *controlPlane, name string) (*process, error) {
	if err := s.makeCgroup(); err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	// The node's authorizer wants the node's own identity, a token; the API server comes with a certificate.
	kubeconfig := s.path("kubelet.kubeconfig")
	if err := writeKubeconfig(kubeconfig, c.server, c.pki.path("ca.crt"), c.tokens["system:node:"+name]); err != nil {
		return nil, err
	}
	if err := c.pki.issue("kubelet", nodeSubject(name), name, s.net.gateway()); err != nil {
		return nil, err
	}
	config, err := json.MarshalIndent(s.kubeletConfig(c, ports[0]), "", "  ")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.path("kubelet.yaml"), config, 0o600); err != nil {
		return nil, err
	}
	return s.start("kubelet", nil, "--config="+s.path("kubelet.yaml"), "--kubeconfig="+kubeconfig,
		"--root-dir="+s.path("kubelet"), "--cert-dir="+s.path("kubelet-pki"),
		"--hostname-override="+name, "--node-ip="+s.net.gateway())
}

func (s *supervisor) kubeletConfig(c *controlPlane, port int) map[string]any {
	return map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"address": s.net.gateway(), "port": port, "healthzPort": 0,
		"tlsCertFile": c.pki.path("kubelet.crt"), "tlsPrivateKeyFile": c.pki.path("kubelet.key"),
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false}, "webhook": map[string]any{"enabled": false},
			"x509": map[string]any{"clientCAFile": c.pki.path("ca.crt")},
		},
		"authorization": map[string]any{"mode": "AlwaysAllow"}, // of those with a certificate: the API server
		"cgroupDriver":  "cgroupfs", "cgroupRoot": "/" + s.record.Cgroup,
		"failCgroupV1": false, "failSwapOn": false, "enforceNodeAllocatable": []string{},
		"oomScoreAdj": 0, // lowering it needs a capability that containers often lack
		"clusterDNS":  []string{s.net.gateway()}, "clusterDomain": clusterDomain,
		"containerRuntimeEndpoint": "unix://" + s.record.containerdSocket(),
		"podLogsDir":               s.path("pod-logs"), "volumePluginDir": s.path("volumeplugins"),
		// A full disk of the developer's must not evict what a test waits for.
		"evictionHard":                map[string]string{"memory.available": "1Mi", "nodefs.available": "0%", "imagefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.inodesFree": "0%"},
		"imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
		"maxPods": 200, "registryPullQPS": 0, "serializeImagePulls": false,
		"nodeStatusUpdateFrequency": "2s", "syncFrequency": "10s",
		"shutdownGracePeriod": "0s",
	}
}

// makeCgroup makes the cluster's own group in every hierarchy; kubelet wants it to exist.
func (s *supervisor) makeCgroup() error {
	s.record.Cgroup = "devcluster-" + s.record.ID
	if err := s.record.save(); err != nil {
		return err
	}
	for _, root := range cgroupRoots() {
		dir := filepath.Join(root, s.record.Cgroup)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return fmt.Errorf("making cgroup %s: %w", dir, err)
		}
		// A new group of version 1 has no CPUs and no memory nodes, and nothing may enter it until it has.
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			if value, err := os.ReadFile(filepath.Join(root, name)); err == nil {
				_ = os.WriteFile(filepath.Join(dir, name), value, 0o644)
			}
		}
		// Version 2 hands controllers down only where told to.
		if all, err := os.ReadFile(filepath.Join(root, "cgroup.controllers")); err == nil && len(strings.Fields(string(all))) > 0 {
			enable := []byte("+" + strings.Join(strings.Fields(string(all)), " +"))
			_ = os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), enable, 0o644)
			_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), enable, 0o644)
		}
	}
	return nil
}

// cgroupRoots are the mount points of the machine's cgroup hierarchies.
func cgroupRoots() []string {
	data, _ := os.ReadFile("/proc/self/mounts")
	var roots []string
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 2 && (f[2] == "cgroup" || f[2] == "cgroup2") && strings.HasPrefix(f[1], "/sys/fs/cgroup") {
			roots = append(roots, f[1])
		}
	}
	return roots
}

// setGPUs adds an extended resource to the node's status; kubelet keeps what it does not manage.
func (n *realNode) setGPUs(ctx context.Context, gpus int) error {
	if gpus == 0 {
		return nil
	}
	amount := map[string]string{"nvidia.com/gpu": fmt.Sprint(gpus)}
	patch := map[string]any{"status": map[string]any{"capacity": amount, "allocatable": amount}}
	if err := n.api.call(ctx, http.MethodPatch, "/api/v1/nodes/"+n.name+"/status", patch, nil); err != nil {
		return fmt.Errorf("giving node %s GPUs: %w", n.name, err)
	}
	return nil
}

// drain deletes the node's pods while kubelet can still end them in order. What does not end in time, or comes
// back by its controller, ends with its cgroup.
func (n *realNode) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		var pods struct {
			Items []struct {
				Metadata struct{ Namespace, Name string }
			}
		}
		if n.api.call(ctx, http.MethodGet, "/api/v1/pods?fieldSelector=spec.nodeName="+n.name, nil, &pods) != nil || len(pods.Items) == 0 {
			return
		}
		for _, p := range pods.Items {
			path := "/api/v1/namespaces/" + p.Metadata.Namespace + "/pods/" + p.Metadata.Name + "?gracePeriodSeconds=1"
			_ = n.api.call(ctx, http.MethodDelete, path, nil, nil)
		}
		if pause(ctx) != nil {
			return
		}
	}
}
