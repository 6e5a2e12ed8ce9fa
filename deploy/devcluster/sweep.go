package devcluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Sweep removes what supervisors that no longer live have left behind: their processes, containers, shims,
// mounts, bridges, cgroups and folders. It touches nothing else, and nothing of a cluster whose supervisor
// lives. Every Start does it first. It returns the ids of the clusters it removed.
func Sweep(ctx context.Context) ([]string, error) {
	return sweep(ctx, func(*record) bool { return true })
}

// sweep does it for the records that are wanted, one sweep at a time.
func sweep(ctx context.Context, wanted func(*record) bool) ([]string, error) {
	dir, err := recordDir()
	if err != nil {
		return nil, fmt.Errorf("sweeping: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(dir, "sweep.lock"))
	if err != nil {
		return nil, fmt.Errorf("sweeping: %w", err)
	}
	defer unlock()
	all, err := records()
	if err != nil {
		return nil, fmt.Errorf("sweeping: %w", err)
	}
	var swept []string
	var failed []error
	for _, r := range all {
		if r.Supervisor.alive() || !wanted(r) {
			continue
		}
		if err := r.clean(ctx); err != nil {
			failed = append(failed, fmt.Errorf("sweeping cluster %s: %w", r.ID, err))
			continue
		}
		swept = append(swept, r.ID)
	}
	return swept, errors.Join(failed...)
}

// clean removes all the record names, in an order in which nothing restarts what is already gone, and the
// record last, so that an interrupted clean is taken up by the next.
func (r *record) clean(ctx context.Context) error {
	for _, p := range r.Processes {
		if p.alive() {
			_ = syscall.Kill(p.PID, syscall.SIGKILL)
		}
	}
	r.killShims()
	if err := r.emptyCgroups(ctx); err != nil {
		return err
	}
	if err := r.unmountAll(ctx); err != nil {
		return err
	}
	if r.Bridge != "" {
		// Gone already is as good; the interface's absence is what counts.
		if out, err := exec.CommandContext(ctx, "ip", "link", "delete", r.Bridge).CombinedOutput(); err != nil && interfaceExists(r.Bridge) {
			return fmt.Errorf("deleting bridge %s: %w: %s", r.Bridge, err, out)
		}
	}
	r.removeLogLinks()
	if err := r.removeFiles(); err != nil {
		return err
	}
	return r.forget()
}

func interfaceExists(name string) bool {
	_, err := os.Stat("/sys/class/net/" + name)
	return err == nil
}

// killShims kills the processes that name a file below the state folder in their arguments: containerd's shims
// leave their parent by design. A shim's socket lies outside the folder, under a hash of its address
// (containerd's shim.CreateSocketAddress).
func (r *record) killShims() {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		cmdline, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		args := strings.Split(string(bytes.TrimRight(cmdline, "\x00")), "\x00")
		at := slices.Index(args, "-address")
		if filepath.Base(args[0]) != "containerd-shim-runc-v2" || at < 0 || at+1 == len(args) || args[at+1] != r.containerdSocket() {
			continue
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
		if id := slices.Index(args, "-id"); id >= 0 && id+1 < len(args) {
			sum := sha256.Sum256([]byte(filepath.Join(r.containerdSocket(), "k8s.io", args[id+1])))
			_ = os.Remove(fmt.Sprintf("/run/containerd/s/%x", sum))
		}
	}
}

func (r *record) containerdSocket() string { return filepath.Join(r.Dir, "containerd.sock") }

// emptyCgroups kills what runs in the cluster's own cgroups and removes them, leaves first.
func (r *record) emptyCgroups(ctx context.Context) error {
	if r.Cgroup == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		left := 0
		for _, root := range cgroupRoots() {
			var dirs []string
			_ = filepath.WalkDir(filepath.Join(root, r.Cgroup), func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
			for _, dir := range slices.Backward(dirs) {
				killAllIn(dir)
				if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
					left++
				}
			}
		}
		if left == 0 {
			return nil
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("removing cgroup %s: %w", r.Cgroup, err)
		}
	}
}

func killAllIn(cgroup string) {
	data, _ := os.ReadFile(filepath.Join(cgroup, "cgroup.procs"))
	for _, line := range strings.Fields(string(data)) {
		if pid, err := strconv.Atoi(line); err == nil && pid > 1 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// unmountAll detaches every mount below the state folder, the deepest first. The removal of the folder must
// not begin before that: it would reach into what is mounted.
func (r *record) unmountAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		mounts := mountsBelow(r.Dir)
		if len(mounts) == 0 {
			return nil
		}
		var last error
		for _, m := range slices.Backward(mounts) {
			if err := unmount(m); err != nil {
				last = fmt.Errorf("unmounting %s: %w", m, err)
			}
		}
		if err := pause(ctx); err != nil {
			return errors.Join(last, err)
		}
	}
}

// mountsBelow reads proc(5)'s mountinfo, whose fifth field is the mount point with octal escapes.
func mountsBelow(dir string) []string {
	data, _ := os.ReadFile("/proc/self/mountinfo")
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var mounts []string
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if at := unescape.Replace(fields[4]); strings.HasPrefix(at, dir+"/") {
			mounts = append(mounts, at)
		}
	}
	return mounts
}

// removeLogLinks removes the links to the cluster's own logs that kubelet makes in a fixed folder.
func (r *record) removeLogLinks() {
	const dir = "/var/log/containers"
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if to, err := os.Readlink(path); err == nil && strings.HasPrefix(to, r.Dir+"/") {
			_ = os.Remove(path)
		}
	}
}

// removeFiles takes the whole folder, or only its own content where the folder was the user's.
func (r *record) removeFiles() error {
	if !r.Keep {
		return os.RemoveAll(r.Dir)
	}
	var failed []error
	for _, name := range ownFiles {
		failed = append(failed, os.RemoveAll(filepath.Join(r.Dir, name)))
	}
	return errors.Join(failed...)
}

// ownFiles is all that a cluster makes directly in its folder. Logs and the registry's blobs stay in a folder
// that the user named.
var ownFiles = []string{"etcd", "pki", "kubeconfig", "kubelet", "kubelet.yaml", "kubelet-pki", "pod-logs", "kubelet.kubeconfig", "volumeplugins",
	"containerd", "containerd-state", "containerd.toml", "containerd.sock", "containerd.sock.ttrpc", "certs.d", "cni", "runc", "opt", "pause.tar", "pause",
	"tokens.csv", "Corefile", "registry.yaml", "devcluster", "kwok.json", "traefik.yaml"}
