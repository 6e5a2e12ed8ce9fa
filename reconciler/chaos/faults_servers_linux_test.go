package chaos_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/deploy/devcluster"
)

// servers are a cluster's processes, which can be stopped and started anew as they were.
type servers struct {
	t    *testing.T
	dev  *devcluster.Cluster
	pids map[string]int
	own  map[string]chan struct{} // started here; closed when it has ended
}

func newServers(t *testing.T, dev *devcluster.Cluster) *servers {
	s := &servers{t: t, dev: dev, pids: dev.PIDs, own: map[string]chan struct{}{}}
	t.Cleanup(func() {
		for name, ended := range s.own {
			if t.Failed() {
				log, _ := os.ReadFile(filepath.Join(s.dev.Dir, "logs", name+".log"))
				t.Logf("the log of %s ends\n%s", name, log[max(0, len(log)-2000):])
			}
			s.signal(name, syscall.SIGKILL)
			<-ended
		}
	})
	return s
}

func (s *servers) signal(name string, sig syscall.Signal) {
	if err := syscall.Kill(s.pids[name], sig); err != nil {
		s.t.Errorf("signal %v to %s: %v", sig, name, err)
	}
}

// end kills servers, and gives what starts them again, in the order given.
func (s *servers) end(names ...string) (start func()) {
	s.t.Helper()
	var again []*exec.Cmd
	for _, name := range names {
		proc := filepath.Join("/proc", fmt.Sprint(s.pids[name]))
		args, env := s.words(proc+"/cmdline"), s.words(proc+"/environ")
		dir, err := os.Readlink(proc + "/cwd")
		if err != nil {
			s.t.Fatal(err)
		}
		log, err := os.OpenFile(filepath.Join(s.dev.Dir, "logs", name+".log"), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { log.Close() })
		again = append(again, &exec.Cmd{
			Path: args[0], Args: args, Env: env, Dir: dir, Stdout: log, Stderr: log, SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
		})
		s.signal(name, syscall.SIGKILL)
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if _, err := os.Stat(proc); err != nil { // it was waited for
				break
			}
			if time.Now().After(deadline) {
				s.t.Fatalf("%s does not end", name)
			}
		}
	}
	return func() {
		s.t.Helper()
		for i, name := range names {
			pid, ended := make(chan int), make(chan struct{})
			go func() { // its death signal comes when the thread that started it ends
				runtime.LockOSThread()
				defer close(ended)
				if err := again[i].Start(); err != nil {
					s.t.Error(err)
				}
				pid <- again[i].Process.Pid
				_ = again[i].Wait()
			}()
			s.pids[name], s.own[name] = <-pid, ended
		}
	}
}

func (s *servers) words(file string) []string {
	s.t.Helper()
	data, err := os.ReadFile(file)
	if err != nil || len(data) == 0 {
		s.t.Fatalf("%s: %v", file, err)
	}
	return strings.Split(string(bytes.TrimSuffix(data, []byte{0})), "\x00")
}

// serversCases are of a control plane that is slow, starts anew, and comes back from a backup. Nothing else may use it.
func serversCases(w *faultyWorld, rounds int, long bool, table *faultTable) {
	t, s, g := w.t, newServers(w.t, w.dev), w.begins()
	lasts := 3 * time.Second
	if long {
		lasts = 30 * time.Second
	}
	for range rounds {
		for _, c := range []struct {
			name string
			run  func() goal
		}{
			{"etcd slow", func() goal { return s.slow(w, g, lasts) }},
			{"API server starts anew", func() goal { return s.anew(w, g) }},
			{"etcd comes back from a backup", func() goal { return s.back(w, g) }},
		} {
			well := t.Run(c.name, func(t *testing.T) {
				w.in(t)
				began := time.Now()
				g = c.run()
				ended := time.Now()
				w.until(func() string { return w.missing(g) })
				table.add("control plane: "+c.name, 1, ended.Sub(began), time.Since(ended))
				w.intact()
				w.noted(g.irisCommit, "production/iris "+g.iris+" Healthy", "staging/iris "+g.iris+" Healthy")
				w.noted(g.held, "production/held v3 Failed", "production/held v3 RolledBack")
			})
			if w.in(t); !well {
				return
			}
		}
	}
	w.corrects()
}

// slow has etcd work for an instant now and then.
func (s *servers) slow(w *faultyWorld, before goal, lasts time.Duration) goal {
	g := w.promoted(before)
	for began := time.Now(); time.Since(began) < lasts; {
		s.signal("etcd", syscall.SIGSTOP)
		time.Sleep(600 * time.Millisecond)
		s.signal("etcd", syscall.SIGCONT)
		time.Sleep(60 * time.Millisecond)
	}
	return g
}

func (s *servers) anew(w *faultyWorld, before goal) goal {
	start := s.end("kube-apiserver")
	g := w.promoted(before)
	start()
	w.serving()
	return g
}

// back has all that was written after a backup of etcd lost, a promotion and the outcome in the cluster among it.
func (s *servers) back(w *faultyWorld, before goal) goal {
	backup, data := filepath.Join(w.t.TempDir(), "etcd"), filepath.Join(w.dev.Dir, "etcd")
	start := s.end("etcd")
	if err := os.CopyFS(backup, os.DirFS(data)); err != nil {
		w.t.Fatal(err)
	}
	start()
	g := w.promoted(before)
	w.until(func() string { return w.missing(g) })
	maps := w.client.CoreV1().ConfigMaps(w.namespace("production"))
	if _, err := maps.Create(w.t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "lost"}}, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	controllers := s.end("kube-controller-manager", "kube-scheduler", "kwok") // they too have seen what is lost
	start = s.end("etcd", "kube-apiserver")
	if err := os.RemoveAll(data); err != nil {
		w.t.Fatal(err)
	}
	if err := os.CopyFS(data, os.DirFS(backup)); err != nil {
		w.t.Fatal(err)
	}
	start()
	w.serving()
	controllers() // without an API server the controller manager ends at once
	if _, err := maps.Get(w.t.Context(), "lost", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		w.t.Errorf("nothing was lost: %v", err)
	}
	return g
}

// serving waits until the API server is.
func (w *faultyWorld) serving() {
	w.t.Helper()
	w.until(func() string {
		if _, err := w.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(w.t.Context()); err != nil {
			return "the API server is not ready: " + err.Error()
		}
		return ""
	})
}
