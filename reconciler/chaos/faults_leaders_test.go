package chaos_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/davit-dev/davit/reconciler/chaos"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// leaders are two controllers of one registry. One leads.
type leaders struct {
	*faultyWorld
	goal goal
	all  [2]*controller
	// pause is how long the one that leads is stopped at least.
	pause time.Duration

	mu     sync.Mutex
	served []string // versions of production/iris, as its Deployment had them one after the other
	jobs   []string // UIDs
}

func newLeaders(w *faultyWorld) *leaders {
	l := &leaders{faultyWorld: w}
	first := w.run("git", "rev-parse", "HEAD")
	l.follow()
	for i, name := range []string{"first", "second"} {
		l.all[i] = w.controller(name)
	}
	w.until(func() string { return w.missing(goal{iris: "v1", irisCommit: first}) })
	w.edit("releases/held/production.yaml", "version: v1", "version: v3")
	l.goal = goal{"v1", first, w.commit("the damaged v3")}
	w.until(func() string { return w.missing(l.goal) })
	l.watch()
	return l
}

// follow makes the ModelRegistry.
func (l *leaders) follow() {
	l.t.Helper()
	for _, name := range []string{"davit", "staging", "production"} {
		if _, err := l.client.CoreV1().Namespaces().Create(l.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: l.namespace(name)}}, metav1.CreateOptions{}); err != nil {
			l.t.Fatal(err)
		}
	}
	mr := v1alpha1.ModelRegistry{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.RegistryKind},
		ObjectMeta: metav1.ObjectMeta{Name: "models"},
		Spec:       v1alpha1.ModelRegistrySpec{URL: l.git.URL + "/models/.git", Interval: metav1.Duration{Duration: 300 * time.Millisecond}},
	}
	for _, env := range []string{"staging", "production"} {
		mr.Spec.Environments = append(mr.Spec.Environments, v1alpha1.EnvironmentGrant{Name: env, Namespaces: []string{l.namespace(env)}})
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&mr)
	if err != nil {
		l.t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", l.dev.Kubeconfig)
	if err != nil {
		l.t.Fatal(err)
	}
	registries := dynamic.NewForConfigOrDie(config).Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.RegistryResource))
	if _, err := registries.Namespace(l.namespace("davit")).Create(l.t.Context(), &unstructured.Unstructured{Object: object}, metav1.CreateOptions{}); err != nil {
		l.t.Fatal(err)
	}
}

// watch remembers each version that production serves, and each Job that is made.
func (l *leaders) watch() {
	l.t.Helper()
	ctx, cancel := context.WithCancel(l.t.Context())
	deployments, err := l.client.AppsV1().Deployments(l.namespace("production")).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=iris"})
	if err != nil {
		l.t.Fatal(err)
	}
	jobs, err := l.client.BatchV1().Jobs(l.namespace("staging")).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		l.t.Fatal(err)
	}
	var watching sync.WaitGroup
	watching.Go(func() {
		for e := range deployments.ResultChan() {
			if d, ok := e.Object.(*appsv1.Deployment); ok {
				version := d.Spec.Template.Labels["davit.dev/version"]
				l.mu.Lock()
				if len(l.served) == 0 || l.served[len(l.served)-1] != version {
					l.served = append(l.served, version)
				}
				l.mu.Unlock()
			}
		}
	})
	watching.Go(func() {
		for e := range jobs.ResultChan() {
			if job, ok := e.Object.(*batchv1.Job); ok {
				l.mu.Lock()
				if !slices.Contains(l.jobs, string(job.UID)) {
					l.jobs = append(l.jobs, string(job.UID))
				}
				l.mu.Unlock()
			}
		}
	})
	l.t.Cleanup(func() { cancel(); watching.Wait() })
}

// leader is who leads.
func (l *leaders) leader() *controller {
	l.t.Helper()
	name, err := l.cluster.Leader(l.t.Context(), l.namespace("davit"), "davit")
	if err != nil {
		l.t.Fatal(err)
	}
	if name == l.all[0].name {
		return l.all[0]
	}
	return l.all[1]
}

// another waits until another one leads, and gives how long that took.
func (l *leaders) another(than *controller) time.Duration {
	l.t.Helper()
	return l.until(func() string {
		name, err := l.cluster.Leader(l.t.Context(), l.namespace("davit"), "davit")
		if err != nil || name == than.name || name == "" {
			return than.name + " still leads"
		}
		return ""
	})
}

func leases(r *http.Request) bool { return strings.Contains(r.URL.Path, "/leases") }

// standsBy waits until a controller has looked at the Lease a few times.
func (l *leaders) standsBy(c *controller) {
	l.t.Helper()
	c.api.Begin(chaos.Slow(0).Of(leases))
	l.until(func() string {
		if c.api.Hits() < 3 {
			return c.name + " does not look at the Lease"
		}
		return ""
	})
	c.api.Begin(nil)
}

// once checks that what was asked for happened once, in order.
func (l *leaders) once(want ...string) {
	l.t.Helper()
	l.intact()
	for _, version := range want {
		if !strings.HasPrefix(version, "f") {
			continue
		}
		l.noted(l.run("git", "log", "-1", "--format=%H", "--grep=^"+version+"$"), "production/iris "+version+" Healthy", "staging/iris "+version+" Healthy")
	}
	l.noted(l.goal.held, "production/held v3 Failed", "production/held v3 RolledBack")
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.served, want) {
		l.t.Errorf("production served %q, not %q", l.served, want)
	}
	l.served = l.served[len(l.served)-1:]
}

// cases count recovery from when another one leads. They stop the one that leads for longer than its Lease lasts, or for a minute
// in the long form, in the midst of its work, and have it go on; cut it off from the API server; and let it not learn that another
// has the Lease.
func (l *leaders) cases(rounds int, long bool, table *faultTable) {
	t := l.t
	if long {
		l.pause = time.Minute
	}
	for range rounds {
		for _, c := range []struct {
			name string
			run  func() (hits int, lasted, recovered time.Duration)
		}{
			{"stopped for longer than its Lease", l.stopped},
			{"cut off from the API server", l.cutOff},
			{"two at once", l.twoAtOnce},
		} {
			well := t.Run(c.name, func(t *testing.T) {
				l.in(t)
				hits, lasted, recovered := c.run()
				table.add("leader: "+c.name, hits, lasted, recovered)
			})
			if l.in(t); !well {
				return
			}
		}
	}
}

func (l *leaders) stopped() (hits int, lasted, recovered time.Duration) {
	old := l.leader()
	from := l.goal.iris
	// It has claimed the release when it stops, and goes on where it was.
	old.api.Begin(chaos.Before(func() { old.signal(syscall.SIGSTOP) }).Of(func(r *http.Request) bool {
		return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/modelreleases/production.iris")
	}).Times(1))
	l.goal = l.promoted(l.goal)
	began, first := time.Now(), l.goal.iris
	l.another(old)
	recovered = l.until(func() string { return l.missing(l.goal) })
	l.goal = l.promoted(l.goal)
	l.until(func() string { return l.missing(l.goal) })
	time.Sleep(l.pause - time.Since(began)) // how long it is stopped is what this is about
	lasted = time.Since(began)
	old.api.Begin(nil)
	old.signal(syscall.SIGCONT)
	l.standsBy(old)
	l.until(func() string { return l.missing(l.goal) })
	l.once(from, first, l.goal.iris)
	return 1, lasted, recovered
}

func (l *leaders) cutOff() (hits int, lasted, recovered time.Duration) {
	old := l.leader()
	from, began := l.goal.iris, time.Now()
	old.api.Down()
	l.goal = l.promoted(l.goal)
	l.another(old)
	recovered = l.until(func() string { return l.missing(l.goal) })
	hits, lasted = old.api.Hits(), time.Since(began)
	old.api.Begin(nil)
	l.standsBy(old)
	l.once(from, l.goal.iris)
	return hits, lasted, recovered
}

func (l *leaders) twoAtOnce() (hits int, lasted, recovered time.Duration) {
	old := l.leader()
	from, began := l.goal.iris, time.Now()
	old.api.Begin(chaos.Silent().Of(leases)) // it holds itself the leader until its time is over
	if err := l.client.CoordinationV1().Leases(l.namespace("davit")).Delete(l.t.Context(), "davit", metav1.DeleteOptions{}); err != nil {
		l.t.Fatal(err)
	}
	l.another(old)
	l.write("models/iris/training/softmax.yaml", "apiVersion: davit.dev/v1alpha1\nkind: Training\nspec:\n  environment: staging\n"+
		"  image: registry.example.com/train@sha256:"+strings.Repeat("2", 64)+"\n  hyperparameters: {epochs: 7}\n")
	l.goal = l.promoted(l.goal)
	recovered = l.until(func() string { return l.missing(l.goal) })
	l.until(func() string {
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.jobs) == 0 {
			return "no Job was made"
		}
		return ""
	})
	hits, lasted = old.api.Hits(), time.Since(began)
	old.api.Begin(nil)
	l.standsBy(old)
	l.once(from, l.goal.iris)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.jobs) != 1 {
		l.t.Errorf("one training made %d Jobs", len(l.jobs))
	}
	return hits, lasted, recovered
}
