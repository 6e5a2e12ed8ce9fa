package devcluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// process is a child of the supervisor. Its output goes to <dir>/logs/<name>.log.
type process struct {
	name string
	log  string
	pid  int
	done chan struct{} // closed when it has ended and was waited for
}

// startProcess starts a binary. The death signal follows the starting thread, not the process (prctl(2)), so
// one goroutine, locked to its thread, starts the child and stays until the child has ended.
func startProcess(dir, name, path string, env []string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, "logs", name+".log"), done: make(chan struct{})}
	if err := os.MkdirAll(filepath.Dir(p.log), 0o755); err != nil {
		return nil, err
	}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), env...)
	cmd.Dir = dir
	cmd.SysProcAttr = childAttr()
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer log.Close()
		defer close(p.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p.pid = cmd.Process.Pid
	return p, nil
}

// stop asks the process to end, kills it after the grace, and returns when it has ended.
func (p *process) stop(grace time.Duration) {
	_ = syscall.Kill(p.pid, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(grace):
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
		<-p.done
	}
}

// until polls ready; it ends early, with the end of its log, when the process dies.
func (p *process) until(ctx context.Context, ready func(context.Context) error) error {
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("waiting for %s: it ended: %s", p.name, tailFile(p.log))
		default:
		}
		if pause(ctx) != nil {
			return fmt.Errorf("waiting for %s: %w: %s", p.name, err, tailFile(p.log))
		}
	}
}

func tailFile(path string) []byte {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return tail(data)
}

// pause is the interval of every poll in this package.
func pause(ctx context.Context) error {
	timer := time.NewTimer(20 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// freePorts returns n different TCP ports that were free on loopback a moment ago. They are held together while
// they are chosen, so that one call never returns the same port twice. They lie below those that the kernel gives to
// outgoing connections: etcd's clients alone make hundreds while a cluster starts, and a process that finds its port
// taken ends.
func freePorts(n int) ([]int, error) {
	const lowest, tries = 10000, 1000
	below := firstEphemeral()
	var ports []int
	for range tries {
		port := lowest + rand.IntN(below-lowest)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer l.Close()
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("finding %d free ports between %d and %d: all tried are in use", n, lowest, below)
}

// FreeAddress is a host:port of loopback where nobody listened a moment ago, for a process that begins to listen there later.
// No outgoing connection takes it meanwhile, as one may take a port that the kernel chose.
func FreeAddress() (string, error) {
	ports, err := freePorts(1)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("127.0.0.1:%d", ports[0]), nil
}

// firstEphemeral is the first port that the kernel gives to outgoing connections.
func firstEphemeral() int {
	first := 32768 // of Linux, and below that of macOS
	if data, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		_, _ = fmt.Sscan(string(data), &first)
	}
	if first < 12000 {
		return 65536 // there is no room below it
	}
	return first
}
