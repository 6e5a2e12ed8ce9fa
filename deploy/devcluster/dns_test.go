package devcluster

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const resolvingJobSet = `apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata: {name: train}
spec:
  network: {enableDNSHostnames: true, subdomain: train}
  replicatedJobs:
  - name: node
    replicas: 1
    template:
      spec:
        parallelism: 2
        completions: 2
        completionMode: Indexed
        template:
          spec:
            terminationGracePeriodSeconds: 1
            restartPolicy: Never
            containers:
            - name: files
              image: REGISTRY/files:1
              args: [/etc]
`

// resolvePods has the second pod of a JobSet find the first by its name, as a training's nodes find their master. It
// runs the image that servePod has pushed.
func resolvePods(t *testing.T, c *Cluster) {
	t.Helper()
	manifest := filepath.Join(t.TempDir(), "jobset.yaml")
	if err := os.WriteFile(manifest, []byte(strings.ReplaceAll(resolvingJobSet, "REGISTRY", c.Registry)), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl(t, c, "apply", "-f", manifest)
	const second = "batch.kubernetes.io/job-completion-index=1"
	kubectl(t, c, "wait", "pod", "-l", second, "--for=create", "--timeout=300s")
	kubectl(t, c, "wait", "pod", "-l", second, "--for=condition=Ready", "--timeout=300s")
	pod := "http://" + kubectl(t, c, "get", "pod", "-l", second, "-o", "jsonpath={.items[0].status.podIP}") + ":8080"
	for _, name := range []string{"train-node-0-0.train", "train-node-0-0.train.default.svc.cluster.local"} {
		deadline := time.Now().Add(2 * time.Minute)
		for { // the first pod may come up last, and its name a moment later
			code, body := get(t, pod+"/fetch?url=http://"+name+":8080/hostname")
			if code == http.StatusOK && strings.TrimSpace(body) == "train-node-0-0" {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("the second pod got %d %q from %s, want the first one's hostname", code, body, name)
				break
			}
			_ = pause(t.Context())
		}
	}
	if code, body := get(t, pod+"/fetch?url=http://nowhere.example.com"); code != http.StatusBadGateway || !strings.Contains(body, "no such host") {
		t.Errorf("the pod got %d %q for a name outside the cluster, want to be told that there is none", code, body)
	}
}
