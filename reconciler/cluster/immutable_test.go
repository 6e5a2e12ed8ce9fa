package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/davit-dev/davit/reconciler/cluster"
)

const job = `apiVersion: batch/v1
kind: Job
metadata: {name: iris, labels: {davit.dev/release: iris}}
spec:
  suspend: true
  template: {spec: {restartPolicy: Never, containers: [{name: a, image: "a:1"}]}}`

const statefulSet = `apiVersion: apps/v1
kind: StatefulSet
metadata: {name: iris, labels: {davit.dev/release: iris}}
spec:
  replicas: 1
  serviceName: iris
  selector: {matchLabels: {davit.dev/release: iris}}
  template:
    metadata: {labels: {davit.dev/release: iris}}
    spec: {containers: [{name: server, image: "registry.example.com/server:1"}]}`

func relabelled(text string) string {
	return strings.ReplaceAll(text, "abels: {davit.dev/release: iris}}\n  template:\n    metadata: {labels: {davit.dev/release: iris}}",
		"abels: {davit.dev/release: iris, b: c}}\n  template:\n    metadata: {labels: {davit.dev/release: iris, b: c}}")
}

func TestImmutableFields(t *testing.T) {
	for _, test := range []struct{ name, before, after, field, group, resource string }{
		{"Deployment selector", deployment, relabelled(deployment), "spec.selector", "apps", "deployments"},
		{"StatefulSet serviceName", statefulSet, strings.Replace(statefulSet, "serviceName: iris", "serviceName: other", 1), "spec", "apps", "statefulsets"},
		{"Service clusterIP", service, strings.Replace(service, "spec: {", "spec: {clusterIP: None, ", 1), "spec.clusterIPs", "", "services"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, ns := open(t)
			mr, _ := deploy(t, c, ns, "c1", test.before)
			client := dynamicClient(t, test.group, "v1", test.resource, ns)
			old, err := client.Get(t.Context(), "iris", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Apply(t.Context(), mr, objects(t, test.after), cluster.ApplyOptions{})
			var refused *cluster.RefusedError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), test.field) || !strings.Contains(err.Error(), "rollout.onImmutable: recreate") {
				t.Fatalf("by default: %v", err)
			}
			// What the API server would not take costs nothing.
			bad := strings.NewReplacer("replicas: 2", "replicas: -1", "replicas: 1", "replicas: -1", "port: 80", "port: 0").Replace(test.after)
			if _, err = c.Apply(t.Context(), mr, objects(t, bad), cluster.ApplyOptions{OnImmutable: cluster.Recreate}); !errors.As(err, &refused) {
				t.Fatalf("unacceptable: %v", err)
			}
			if o, err := client.Get(t.Context(), "iris", metav1.GetOptions{}); err != nil || o.GetUID() != old.GetUID() || o.GetDeletionTimestamp() != nil {
				t.Fatalf("deleted for what is not acceptable: %v", err)
			}
			eventually(t, func() error {
				set, err := c.Apply(t.Context(), mr, objects(t, test.after), cluster.ApplyOptions{OnImmutable: cluster.Recreate})
				var busy *cluster.BusyError
				if err != nil && !errors.As(err, &busy) {
					t.Fatal(err)
				}
				if err == nil && set.Inventory[0].UID == old.GetUID() {
					t.Fatal("not made anew")
				}
				return err
			})
			o, err := client.Get(t.Context(), "iris", metav1.GetOptions{})
			if err != nil || o.GetUID() == old.GetUID() || o.GetDeletionTimestamp() != nil {
				t.Errorf("not made anew: %v", err)
			}
		})
	}
}

// TestPodsOutliveTheirStatefulSet: they serve on while it is made anew, and the new one takes them over.
func TestPodsOutliveTheirStatefulSet(t *testing.T) {
	needNodes(t)
	c, ns := open(t)
	mr, _ := deploy(t, c, ns, "c1", statefulSet)
	pods := client.CoreV1().Pods(ns)
	var pod *corev1.Pod
	eventually(t, func() (err error) {
		pod, err = pods.Get(t.Context(), "iris-0", metav1.GetOptions{})
		return err
	})
	next := objects(t, strings.Replace(statefulSet, "serviceName: iris", "serviceName: other", 1))
	var set cluster.ChangeSet
	eventually(t, func() (err error) {
		set, err = c.Apply(t.Context(), mr, next, cluster.ApplyOptions{OnImmutable: cluster.Recreate})
		return err
	})
	eventually(t, func() error {
		live, err := pods.Get(t.Context(), "iris-0", metav1.GetOptions{})
		if err != nil || live.UID != pod.UID || live.DeletionTimestamp != nil {
			t.Fatalf("the pod did not outlive its StatefulSet: %v", err)
		}
		if o := metav1.GetControllerOf(live); o == nil || o.UID != set.Inventory[0].UID {
			return fmt.Errorf("controlled by %v", o)
		}
		return nil
	})
}

// TestNothingElseIsDeletedToMakeAnew has somebody put a Service of their own in the place of davit's between its look and
// its DELETE.
func TestNothingElseIsDeletedToMakeAnew(t *testing.T) {
	c, ns := open(t)
	mr, _ := deploy(t, c, ns, "c1", service)
	services := client.CoreV1().Services(ns)
	var theirs *corev1.Service
	exchange := sync.OnceFunc(func() {
		o, err := services.Get(t.Context(), "iris", metav1.GetOptions{})
		if err == nil {
			err = services.Delete(t.Context(), "iris", metav1.DeleteOptions{})
		}
		if err == nil {
			o.ObjectMeta = metav1.ObjectMeta{Name: "iris", Finalizers: []string{"example.com/keep"}}
			o.Spec.ClusterIP, o.Spec.ClusterIPs = "", nil
			theirs, err = services.Create(t.Context(), o, metav1.CreateOptions{})
		}
		if err != nil {
			t.Error(err)
		}
	})
	slow := reopen(t, ns, func(cfg *cluster.Config) {
		cfg.REST = restCopy()
		cfg.REST.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return before(func(r *http.Request) {
				if r.Method == http.MethodDelete {
					exchange()
				}
			}, next)
		})
	})
	next := objects(t, strings.Replace(service, "spec: {", "spec: {clusterIP: None, ", 1))
	_, err := slow.Apply(t.Context(), mr, next, cluster.ApplyOptions{OnImmutable: cluster.Recreate})
	live, gone := services.Get(t.Context(), "iris", metav1.GetOptions{})
	if gone != nil || live.UID != theirs.UID || live.DeletionTimestamp != nil {
		t.Errorf("somebody else's Service was deleted: %v", gone)
	}
	var conflict *cluster.ConflictError
	if !errors.As(err, &conflict) {
		t.Errorf("got %v", err)
	}
	keep := []byte(`{"metadata":{"finalizers":null}}`)
	if _, err := services.Patch(t.Context(), "iris", types.MergePatchType, keep, metav1.PatchOptions{}); err != nil {
		t.Error(err)
	}
}

// TestVolumesAreNotMadeAnew: rollout.onImmutable: recreate is for what holds nothing; a volume and what is in it stay.
func TestVolumesAreNotMadeAnew(t *testing.T) {
	c, ns := open(t)
	mr, _ := deploy(t, c, ns, "c1", claimOfVolume)
	volumes := client.CoreV1().PersistentVolumeClaims(ns)
	old, err := volumes.Get(t.Context(), "cache", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	next := strings.Replace(claimOfVolume, "ReadWriteOnce", "ReadWriteMany", 1)
	_, err = c.Apply(t.Context(), mr, objects(t, next), cluster.ApplyOptions{OnImmutable: cluster.Recreate})
	var refused *cluster.RefusedError
	if !errors.As(err, &refused) || !strings.HasSuffix(err.Error(), "; give it a new name") {
		t.Errorf("got %v", err)
	}
	if live, err := volumes.Get(t.Context(), "cache", metav1.GetOptions{}); err != nil || live.UID != old.UID || live.DeletionTimestamp != nil {
		t.Errorf("the volume was deleted: %v, %v", live, err)
	}
}

func TestARunningJobIsNotReplaced(t *testing.T) {
	c, ns := open(t)
	endless := strings.Replace(job, "{restartPolicy", "{nodeSelector: {pool: none}, restartPolicy", 1) // no simulated node ends its pod
	mr, _ := deploy(t, c, ns, "c1", endless)
	next := strings.Replace(endless, "a:1", "a:2", 1)
	next = strings.Replace(next, "suspend: true\n", "suspend: false\n", 1)
	running := []byte(`{"spec":{"suspend":false}}`)
	jobs := client.BatchV1().Jobs(ns)
	if _, err := jobs.Patch(t.Context(), "iris", types.MergePatchType, running, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { // a Job that never started may change its template
		j, err := jobs.Get(t.Context(), "iris", metav1.GetOptions{})
		if err == nil && j.Status.StartTime == nil {
			err = errors.New("not started")
		}
		return err
	})
	recreate := cluster.ApplyOptions{OnImmutable: cluster.Recreate}
	_, err := c.Apply(t.Context(), mr, objects(t, next), recreate)
	var busy *cluster.BusyError
	if !errors.As(err, &busy) || busy.Ref.String() != "Job.batch/iris" {
		t.Fatalf("a running Job: %v", err)
	}
	finish(t.Context(), t, ns)
	eventually(t, func() error {
		_, err := c.Apply(t.Context(), mr, objects(t, next), recreate)
		return err
	})
	j, err := jobs.Get(t.Context(), "iris", metav1.GetOptions{})
	if err != nil || j.Spec.Template.Spec.Containers[0].Image != "a:2" {
		t.Errorf("%v, %v", j, err)
	}
}

// finish makes the Job's pods succeed.
func finish(ctx context.Context, t *testing.T, ns string) {
	t.Helper()
	eventually(t, func() error {
		pods, err := client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: "job-name=iris"})
		if err != nil {
			return err
		}
		if len(pods.Items) == 0 {
			return errors.New("no pod")
		}
		for _, pod := range pods.Items {
			patch := []byte(`{"status":{"phase":"Succeeded"}}`)
			if _, err := client.CoreV1().Pods(ns).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil && !apierrors.IsNotFound(err) {
				return err
			}
		}
		j, err := client.BatchV1().Jobs(ns).Get(ctx, "iris", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range j.Status.Conditions {
			if c.Type == "Complete" && c.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("not complete: %v", j.Status.Conditions)
	})
}
