package devcluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// Part is a set of binaries that is built together.
type Part string

// The parts, in the order in which Build builds them.
const (
	PartRegistry     Part = "registry"      // an OCI registry
	PartControlPlane Part = "control-plane" // etcd, API server, controller manager, scheduler, kubectl
	PartKwok         Part = "kwok"          // simulated nodes
	PartJobSet       Part = "jobset"        // JobSet's controller
	PartLWS          Part = "lws"           // LeaderWorkerSet's controller
	PartKueue        Part = "kueue"         // Kueue's controller
	PartGateway      Part = "gateway"       // a gateway, which shares out requests by HTTPRoutes
	PartForge        Part = "forge"         // a forge; needs a C compiler for its database
	PartNode         Part = "node"          // kubelet, containerd, runc, CNI plugins, CoreDNS; Linux only
)

// KubernetesVersion is the version build/go.mod pins; a binary found elsewhere must have its major and minor.
const KubernetesVersion = "v1.37.2"

// target is one binary: the nested module below build that pins it and how that module builds it.
type target struct {
	part   Part
	name   string
	module string
	pkg    string
	tags   string
	cgo    bool
}

var targets = []target{
	{PartRegistry, "registry", "registry", "github.com/distribution/distribution/v3/cmd/registry", "", false},
	{PartControlPlane, "etcd", ".", "go.etcd.io/etcd/server/v3", "", false},
	{PartControlPlane, "kube-apiserver", ".", "k8s.io/kubernetes/cmd/kube-apiserver", "", false},
	{PartControlPlane, "kube-controller-manager", ".", "k8s.io/kubernetes/cmd/kube-controller-manager", "", false},
	{PartControlPlane, "kube-scheduler", ".", "k8s.io/kubernetes/cmd/kube-scheduler", "", false},
	{PartControlPlane, "kubectl", ".", "k8s.io/kubernetes/cmd/kubectl", "", false},
	{PartKwok, "kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok", "", false},
	{PartJobSet, "jobset-manager", "jobset", "sigs.k8s.io/jobset", "", false},
	{PartLWS, "lws-manager", "lws", "sigs.k8s.io/lws/cmd", "", false},
	{PartKueue, "kueue", "kueue", "sigs.k8s.io/kueue/cmd/kueue", "", false},
	{PartGateway, "traefik", "gateway", "github.com/traefik/traefik/v3/cmd/traefik", "", false},
	{PartForge, "gitea", "gitea", "code.gitea.io/gitea", "sqlite sqlite_unlock_notify", true},
	{PartNode, "containerd", "containerd", "github.com/containerd/containerd/v2/cmd/containerd", containerdTags, false},
	{PartNode, "containerd-shim-runc-v2", "containerd", "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2", containerdTags, false},
	{PartNode, "ctr", "containerd", "github.com/containerd/containerd/v2/cmd/ctr", containerdTags, false},
	{PartNode, "runc", "runc", "github.com/opencontainers/runc", "seccomp", true},
	{PartNode, "bridge", "cni", "github.com/containernetworking/plugins/plugins/main/bridge", "", false},
	{PartNode, "loopback", "cni", "github.com/containernetworking/plugins/plugins/main/loopback", "", false},
	{PartNode, "host-local", "cni", "github.com/containernetworking/plugins/plugins/ipam/host-local", "", false},
	{PartNode, "portmap", "cni", "github.com/containernetworking/plugins/plugins/meta/portmap", "", false},
	{PartNode, "coredns", "dns", "github.com/coredns/coredns", "", false},
	{PartNode, "kubelet", ".", "k8s.io/kubernetes/cmd/kubelet", "", false},
}

const containerdTags = "no_btrfs no_devmapper no_zfs"

// Parts are all of them, in that order.
func Parts() []Part {
	var parts []Part
	for _, t := range targets {
		if !slices.Contains(parts, t.part) {
			parts = append(parts, t.part)
		}
	}
	return parts
}

// Build makes sure that the parts' binaries exist and returns the path of each by its name. What
// KUBEBUILDER_ASSETS or PATH offers in a fitting version is taken as it is; the rest is built once from the
// modules below build and kept in the user's cache by the hash of those modules (the first build of the
// control plane takes minutes). Several processes may call it at once; one of them builds, under a file lock.
// Progress goes to log, which may be nil. runc needs a C compiler and libseccomp's headers.
func Build(ctx context.Context, log io.Writer, parts ...Part) (map[string]string, error) {
	if log == nil {
		log = io.Discard
	}
	paths := map[string]string{}
	for _, t := range targets {
		if !slices.Contains(parts, t.part) {
			continue
		}
		path, err := t.find(ctx)
		if err == nil && path == "" {
			path, err = t.build(ctx, log)
		}
		if err != nil {
			return nil, fmt.Errorf("building %s: %w", t.name, err)
		}
		paths[t.name] = path
	}
	return paths, nil
}

// find returns a binary that the user supplies, or "". Only Kubernetes' own parts are looked for: they tell
// their version reliably, and the others are quick to build.
func (t target) find(ctx context.Context) (string, error) {
	if t.module != "." {
		return "", nil
	}
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		if path := filepath.Join(dir, t.name); executable(path) && (t.name == "etcd" || fits(ctx, path)) {
			return path, nil
		}
	}
	if t.name == "etcd" {
		return "", nil // a distribution's etcd may be too old to stream lists
	}
	if path, err := exec.LookPath(t.name); err == nil && fits(ctx, path) {
		return path, nil
	}
	return "", nil
}

// fits says whether a Kubernetes binary has the pinned major and minor version.
func fits(ctx context.Context, path string) bool {
	args := []string{"--version"}
	if filepath.Base(path) == "kubectl" {
		args = []string{"version", "--client"}
	}
	out, _ := exec.CommandContext(ctx, path, args...).Output() // one that can't answer does not fit
	return strings.Contains(string(out), KubernetesVersion[:strings.LastIndex(KubernetesVersion, ".")+1])
}

func (t target) build(ctx context.Context, log io.Writer) (string, error) {
	source, err := sourceDir(ctx)
	if err != nil {
		return "", err
	}
	module := filepath.Join(source, "build", t.module)
	bin, err := t.cacheDir(module)
	if err != nil {
		return "", err
	}
	path := filepath.Join(bin, t.name)
	if executable(path) {
		return path, nil
	}
	unlock, err := lock(ctx, bin+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if executable(path) {
		return path, nil
	}
	fmt.Fprintf(log, "building %s (once; kept in %s)\n", t.name, bin)
	return path, t.compile(ctx, module, path)
}

// compile writes path in one step, so that a reader never sees half a binary.
func (t target) compile(ctx context.Context, module, path string) error {
	temp := fmt.Sprintf("%s.%d", path, os.Getpid())
	defer os.Remove(temp)
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-tags", t.tags, "-ldflags", t.ldflags(), "-o", temp, t.pkg)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0")
	if t.cgo {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=1")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running go build in %s: %w\n%s", module, err, tail(out))
	}
	return os.Rename(temp, path)
}

func (t target) ldflags() string {
	if t.module != "." {
		return "-s -w"
	}
	const v = " -X k8s.io/component-base/version."
	part := strings.Split(strings.TrimPrefix(KubernetesVersion, "v"), ".")
	return "-s -w" + v + "gitVersion=" + KubernetesVersion + v + "gitMajor=" + part[0] + v + "gitMinor=" + part[1]
}

// cacheDir is one folder per content of the module's go.mod, go.sum and stand-ins and per compiler.
func (t target) cacheDir(module string) (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, runtime.Version(), runtime.GOOS, runtime.GOARCH, t.ldflags(), t.tags)
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return "", err
		}
		hash.Write(data)
	}
	if t.module != "." { // that of all the others
		if err := hashStandIns(hash, module); err != nil {
			return "", err
		}
	}
	cache, err := cacheRoot()
	if err != nil {
		return "", err
	}
	name := t.module
	if name == "." {
		name = "kubernetes"
	}
	dir := filepath.Join(cache, name+"-"+hex.EncodeToString(hash.Sum(nil))[:12], "bin")
	return dir, os.MkdirAll(dir, 0o755)
}

// hashStandIns covers the sources that the module has itself, for modules that can't be had; most have none.
func hashStandIns(hash io.Writer, module string) error {
	files := os.DirFS(module)
	return fs.WalkDir(files, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".go") {
			return err
		}
		data, err := fs.ReadFile(files, name)
		fmt.Fprintf(hash, "%q %d\n", name, len(data))
		_, _ = hash.Write(data)
		return err
	})
}

func cacheRoot() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the user's cache folder: %w", err)
	}
	return filepath.Join(cache, "davit", "devcluster"), nil
}

const packagePath = "github.com/davit-dev/davit/deploy/devcluster"

// sourceDir finds this package's source, which holds the nested modules and the supervisor's main package.
func sourceDir(ctx context.Context) (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		if _, err := os.Stat(file); err == nil {
			return filepath.Dir(file), nil
		}
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", packagePath).Output()
	if err != nil {
		return "", fmt.Errorf("finding the source of %s (run inside davit's module): %w", packagePath, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// lock takes an exclusive file lock, which the kernel drops when the holder dies.
func lock(ctx context.Context, path string) (func(), error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if err != syscall.EWOULDBLOCK || pause(ctx) != nil {
			file.Close()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
	}
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func tail(out []byte) []byte {
	const limit = 4096
	if len(out) > limit {
		return out[len(out)-limit:]
	}
	return out
}
