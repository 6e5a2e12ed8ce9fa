package reconciler_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/hostile"
)

// TestAttacks commits one attack after the other, each beside a change of production/iris, which is applied all the same;
// what the attack is about is refused by its place, and none of its objects is made.
func TestAttacks(t *testing.T) {
	t.Parallel()
	attacks, err := hostile.Corpus()
	if err != nil {
		t.Fatal(err)
	}
	const batches = 4
	var refused, slowest atomic.Int64
	t.Run("batch", func(t *testing.T) {
		for batch := range batches {
			t.Run(fmt.Sprint(batch), func(t *testing.T) {
				t.Parallel()
				w := newAttackedWorld(t)
				for i, a := range attacks {
					if i%batches != batch {
						continue
					}
					t.Run(a.Name, func(t *testing.T) {
						took := w.under(t, a, i)
						if !t.Failed() {
							refused.Add(1)
						}
						slowest.Store(max(slowest.Load(), int64(took)))
					})
				}
				w.unharmed(t)
			})
		}
	})
	t.Logf("%d attacks refused; beside each the other release was synced, %v after the commit at most", refused.Load(), time.Duration(slowest.Load()).Round(time.Millisecond))
}

// attackedWorld is a world whose repository is laid anew for each attack.
type attackedWorld struct {
	*world
	sound string // the registry without an attack
	r     *reconciler.Reconciler

	mu     sync.Mutex
	faults []string // that were logged
}

func newAttackedWorld(t *testing.T) *attackedWorld {
	w := &attackedWorld{world: newWorld(t), sound: t.TempDir()}
	if err := os.CopyFS(w.sound, os.DirFS(w.dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(w.sound, ".git")); err != nil {
		t.Fatal(err)
	}
	w.r = w.runs(func(c *reconciler.Config) {
		c.Log = slog.New(faultLog{slog.DiscardHandler, w})
		c.Cluster, c.Grants = nil, map[string]reconciler.Grant{}
		for _, env := range []string{"staging", "production"} {
			c.Grants[env] = reconciler.Grant{Cluster: w.world.cluster, Namespaces: []string{w.namespace(env)}}
		}
	})
	w.applied(w.git("rev-parse", "HEAD"))
	return w
}

// faultLog keeps the faults that are logged.
type faultLog struct {
	slog.Handler
	w *attackedWorld
}

func (faultLog) Enabled(context.Context, slog.Level) bool { return true }

func (l faultLog) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "fault" {
			l.w.mu.Lock()
			l.w.faults = append(l.w.faults, a.Value.String())
			l.w.mu.Unlock()
		}
		return true
	})
	return nil
}

// says is all that the controller says of what is wrong.
func (w *attackedWorld) says() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append(slices.Collect(maps.Values(w.r.Unwell())), w.faults...)
}

// applied waits until production/iris is applied at a commit.
func (w *attackedWorld) applied(commit string) {
	w.eventually("applied at "+commit, func() bool {
		mr, err := w.cluster.Release(w.t.Context(), w.namespace("production"), "production", "iris")
		return err == nil && mr != nil && mr.Status.Applied.Commit == commit
	})
}

// under commits an attack and says how long the other release took.
func (w *attackedWorld) under(t *testing.T, a *hostile.Attack, number int) time.Duration {
	w.world.t = t
	entries, err := os.ReadDir(w.dir)
	for _, e := range entries {
		if e.Name() != ".git" {
			err = errors.Join(err, os.RemoveAll(filepath.Join(w.dir, e.Name())))
		}
	}
	if err := errors.Join(err, os.CopyFS(w.dir, os.DirFS(w.sound)), a.Lay(w.dir)); err != nil {
		t.Fatal(err)
	}
	mark := fmt.Sprint("attack-", number)
	w.edit("releases/iris/production.yaml", "version: v1\n", "version: v1\n  env: {MARK: "+mark+"}\n")
	if err := a.Commit(w.run, a.Name); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	w.eventually("synced beside it", func() bool {
		d, err := w.kubectl().AppsV1().Deployments(w.namespace("production")).Get(t.Context(), "iris", metav1.GetOptions{})
		return err == nil && slices.ContainsFunc(d.Spec.Template.Spec.Containers[0].Env, func(e corev1.EnvVar) bool { return e.Name == "MARK" && e.Value == mark })
	})
	took := time.Since(began)
	if wants := a.Later; len(wants) > 0 {
		w.told(a, wants)
	} else {
		w.told(a, a.Want) // of a release's faults it names the first
	}
	return took
}

// told waits until the controller says one of what is wanted, of a release or in its log.
func (w *attackedWorld) told(a *hostile.Attack, wants []string) {
	w.world.t.Helper()
	wants = slices.Clone(wants)
	for i, text := range wants {
		var err error
		if wants[i], err = a.Text(w.dir, text); err != nil {
			w.world.t.Fatal(err)
		}
	}
	var said []string
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		said = w.says()
		for _, text := range said {
			if slices.ContainsFunc(wants, func(want string) bool { return strings.Contains(text, want) }) {
				return
			}
		}
	}
	w.world.t.Errorf("the controller says %q, want %q", said, wants)
}

func (w *attackedWorld) run(input string, args ...string) (string, error) {
	cmd := exec.CommandContext(w.world.t.Context(), "git", args...)
	cmd.Dir, cmd.Stdin = w.dir, strings.NewReader(input)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("git %s: %w: %s", args[0], err, out)
	}
	return strings.TrimSuffix(string(out), "\n"), err
}

// unharmed looks for what an attack would have made.
func (w *attackedWorld) unharmed(t *testing.T) {
	ctx, list := context.WithoutCancel(t.Context()), metav1.ListOptions{LabelSelector: "davit.dev/release=hostile"}
	deployments, err := w.kubectl().AppsV1().Deployments(w.namespace("production")).List(ctx, list)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range deployments.Items { // attacks by a training leave the release sound
		if d.Name != "hostile" || d.Spec.Template.Labels["davit.dev/model"] != "hostile" {
			t.Errorf("a Deployment %s was made", d.Name)
		}
	}
	configs, err := w.kubectl().CoreV1().ConfigMaps("").List(ctx, list)
	if err != nil || len(configs.Items) > 0 {
		t.Errorf("config maps of what was refused: %d, %v", len(configs.Items), err)
	}
	roles, err := w.kubectl().RbacV1().ClusterRoles().List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range roles.Items {
		if strings.Contains(r.Name, "hostile") {
			t.Errorf("a ClusterRole %s was made", r.Name)
		}
	}
}
