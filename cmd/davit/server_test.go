package main

import (
	"context"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	ociregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/rogpeppe/go-internal/testscript"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestServerScripts runs testdata/server/*.txtar as TestScripts runs its own, with a cluster of two simulated nodes of
// eight GPUs each in $KUBECONFIG and an OCI registry at $REGISTRY. The scripts share them: each has namespaces and
// environments of its own.
func TestServerScripts(t *testing.T) {
	t.Parallel()
	dev, err := devcluster.Start(t.Context(), devcluster.Config{Nodes: 2, GPUs: 8, APIs: []string{"kserve"}, Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dev.Stop(); err != nil {
			t.Error(err)
		}
	})
	config, err := clientcmd.BuildConfigFromFlags("", dev.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sim-0", "sim-1"} {
		label := []byte(`{"metadata": {"labels": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}}}`)
		if _, err := client.CoreV1().Nodes().Patch(t.Context(), name, types.MergePatchType, label, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	oci := httptest.NewServer(ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(oci.Close)
	source, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/server", RequireExplicitExec: true, UpdateScripts: os.Getenv("UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("KUBECONFIG", dev.Kubeconfig)
			env.Setenv("CLUSTER", dev.Kubeconfig)
			env.Setenv("SOURCE", source)
			env.Setenv("PATH", filepath.Dir(dev.Bin("kubectl"))+":"+env.Getenv("PATH"))
			env.Setenv("REGISTRY", strings.TrimPrefix(oci.URL, "http://"))
			env.Values["told"] = &told{}
			return setup(env)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"replace": replace, "exitcode": exitCode, "until": until, "say": say, "show": show, "page": holdPage, "push": push,
			"kept":   func(ts *testscript.TestScript, neg bool, args []string) { kept(ts, config, args) },
			"pod":    func(ts *testscript.TestScript, neg bool, args []string) { pod(ts, client, args) },
			"patch":  func(ts *testscript.TestScript, neg bool, args []string) { patch(ts, client, args) },
			"runs":   func(ts *testscript.TestScript, neg bool, args []string) { runsPods(ts, client, args) },
			"queues": func(ts *testscript.TestScript, neg bool, args []string) { queues(ts, client, args) },
			"creates": func(ts *testscript.TestScript, neg bool, args []string) {
				creates(ts, dynamic.NewForConfigOrDie(config), args)
			},
		},
	})
}

// until PATTERN COMMAND… runs a command until it ends well and its output matches: what others have to do first takes a moment.
func until(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: until PATTERN COMMAND...")
	}
	pattern := regexp.MustCompile("(?m)" + args[0])
	for began := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Since(began) > 3*time.Minute {
			ts.Fatalf("%s does not come to match %q: %v", strings.Join(args[1:], " "), args[0], err)
		}
	}
}

// patch PATH JSON writes to an object of the API server, as grace.
func patch(ts *testscript.TestScript, client *kubernetes.Clientset, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: patch PATH JSON")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	ts.Check(client.CoreV1().RESTClient().Patch(types.MergePatchType).AbsPath(args[0]).Param("fieldManager", "grace").Body([]byte(args[1])).Do(ctx).Error())
}

// pod NAMESPACE SELECTOR puts the name of a pod into $POD.
func pod(ts *testscript.TestScript, client *kubernetes.Clientset, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: pod NAMESPACE SELECTOR")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	pods, err := client.CoreV1().Pods(args[0]).List(ctx, metav1.ListOptions{LabelSelector: args[1]})
	ts.Check(err)
	if len(pods.Items) == 0 {
		ts.Fatalf("no pod")
	}
	ts.Setenv("POD", pods.Items[0].Name)
}

// creates FILE… creates ModelReleases.
func creates(ts *testscript.TestScript, client dynamic.Interface, files []string) {
	for _, file := range files {
		o := &unstructured.Unstructured{}
		ts.Check(yaml.Unmarshal([]byte(ts.ReadFile(file)), &o.Object))
		_, err := client.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource)).Namespace(o.GetNamespace()).Create(context.Background(), o, metav1.CreateOptions{})
		ts.Check(err)
	}
}

// queues FILE… creates Jobs and waits until no node takes their pods.
func queues(ts *testscript.TestScript, client *kubernetes.Clientset, files []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for _, file := range files {
		job := &batchv1.Job{}
		ts.Check(yaml.UnmarshalStrict([]byte(ts.ReadFile(file)), job))
		_, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: job.Namespace}}, metav1.CreateOptions{})
		if err != nil && !strings.Contains(err.Error(), "already exists") {
			ts.Fatalf("%v", err)
		}
		_, err = client.BatchV1().Jobs(job.Namespace).Create(ctx, job, metav1.CreateOptions{})
		ts.Check(err)
		ts.Check(wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
			pods, err := client.CoreV1().Pods(job.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "job-name=" + job.Name})
			if err != nil || len(pods.Items) == 0 {
				return false, err
			}
			return slices.ContainsFunc(pods.Items[0].Status.Conditions, func(c corev1.PodCondition) bool { return c.Reason == corev1.PodReasonUnschedulable }), nil
		}))
	}
}

// runsPods does runs FILE…: it creates pods and waits until they have nodes.
func runsPods(ts *testscript.TestScript, client *kubernetes.Clientset, files []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for _, file := range files {
		pod := &corev1.Pod{}
		ts.Check(yaml.UnmarshalStrict([]byte(ts.ReadFile(file)), pod))
		_, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: pod.Namespace}}, metav1.CreateOptions{})
		if err != nil && !strings.Contains(err.Error(), "already exists") {
			ts.Fatalf("%v", err)
		}
		_, err = client.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
		ts.Check(err)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for pod.Spec.NodeName == "" {
			select {
			case <-ctx.Done():
				ts.Fatalf("pod %s has no node", pod.Name)
			case <-tick.C:
			}
			pod, err = client.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
			ts.Check(err)
		}
	}
}

// kept FILE creates a ModelRelease with its status, in which FIRST and SECOND are the two commits of the folder.
func kept(ts *testscript.TestScript, config *rest.Config, files []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	text := ts.ReadFile(files[0])
	for name, rev := range map[string]string{"FIRST": "HEAD~1", "SECOND": "HEAD"} {
		cmd := exec.CommandContext(ctx, "git", "rev-parse", rev)
		cmd.Dir = ts.MkAbs(".")
		hash, err := cmd.Output()
		ts.Check(err)
		text = strings.ReplaceAll(text, name, strings.TrimSpace(string(hash)))
	}
	object := &unstructured.Unstructured{}
	ts.Check(yaml.Unmarshal([]byte(text), &object.Object))
	client, err := dynamic.NewForConfig(config)
	ts.Check(err)
	releases := client.Resource(v1alpha1.GroupVersion.WithResource("modelreleases")).Namespace(object.GetNamespace())
	status := object.Object["status"]
	made, err := releases.Create(ctx, object, metav1.CreateOptions{})
	ts.Check(err)
	made.Object["status"] = status
	_, err = releases.UpdateStatus(ctx, made, metav1.UpdateOptions{})
	ts.Check(err)
}
