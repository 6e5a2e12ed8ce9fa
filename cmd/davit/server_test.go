package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/deploy/devcluster"
)

// TestServerScripts runs testdata/server/*.txtar as TestScripts runs its own, with a cluster of two simulated nodes of
// eight GPUs each in $KUBECONFIG.
func TestServerScripts(t *testing.T) {
	dev, err := devcluster.Start(t.Context(), devcluster.Config{Nodes: 2, GPUs: 8, Log: os.Stderr})
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
	testscript.Run(t, testscript.Params{
		Dir: "testdata/server", RequireExplicitExec: true, UpdateScripts: os.Getenv("UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("KUBECONFIG", dev.Kubeconfig)
			env.Setenv("CLUSTER", dev.Kubeconfig)
			return setup(env)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"replace": replace, "exitcode": exitCode,
			"runs": func(ts *testscript.TestScript, neg bool, args []string) { runs(ts, client, args) },
		},
	})
}

// runs FILE… creates pods and waits until they have nodes.
func runs(ts *testscript.TestScript, client *kubernetes.Clientset, files []string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
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
