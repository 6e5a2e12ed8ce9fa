package capacity

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// objects reads manifests separated by lines of dashes.
func objects(t testing.TB, text string) (all []*unstructured.Unstructured) {
	t.Helper()
	for doc := range strings.SplitSeq(text, "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &o.Object); err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

func podsIn(t testing.TB, text string) []Pods {
	t.Helper()
	pods, err := Demand(objects(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return pods
}

// line is what a set of pods asks for, in short.
func line(p Pods) string {
	s := fmt.Sprintf("%s: %d", p.Object, p.Count)
	if p.Most > 0 {
		s += fmt.Sprintf("-%d", p.Most)
	}
	if n := p.Surge(); n > 0 {
		s += fmt.Sprintf(" (+%d)", n)
	}
	for _, a := range p.asks() {
		s += fmt.Sprintf("; %d × %s", a.n, a.Accelerator)
	}
	for _, name := range []string{"cpu", "memory"} {
		for n, v := range p.Needs {
			if string(n) == name {
				s += "; " + name + " " + text(n, v)
			}
		}
	}
	for _, name := range p.Unknown {
		s += "; unknown " + name
	}
	return s
}

const template = `{metadata: {labels: {davit.dev/release: llama}}, spec: {nodeSelector: {nvidia.com/gpu.product: H100}, containers: [{name: server, resources: {limits: {nvidia.com/gpu: 8, memory: 64Gi}, requests: {cpu: 500m}}}]}}`

const one = "; 8 × nvidia.com/gpu on nvidia.com/gpu.product=H100; cpu 500m; memory 64Gi"

func TestDemand(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"deployment in place": {`apiVersion: apps/v1
kind: Deployment
metadata: {name: llama}
spec: {replicas: 3, strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}, template: ` + template + `}`,
			"Deployment llama: 3" + one},
		"deployment that surges": {`apiVersion: apps/v1
kind: Deployment
metadata: {name: llama}
spec: {replicas: 5, strategy: {rollingUpdate: {maxSurge: 30%, maxUnavailable: 0}}, template: ` + template + `}`,
			"Deployment llama: 5 (+2)" + one},
		"a deployment of one by default may not go below one": {`apiVersion: apps/v1
kind: Deployment
metadata: {name: llama}
spec: {template: ` + template + `}`,
			"Deployment llama: 1 (+1)" + one},
		"a deployment of four by default gives one up first": {`apiVersion: apps/v1
kind: Deployment
metadata: {name: llama}
spec: {replicas: 4, template: ` + template + `}`,
			"Deployment llama: 4" + one},
		"recreated": {`apiVersion: apps/v1
kind: Deployment
metadata: {name: llama}
spec: {strategy: {type: Recreate}, template: ` + template + `}`,
			"Deployment llama: 1" + one},
		"autoscaled": {`apiVersion: apps/v1
kind: StatefulSet
metadata: {name: llama}
spec: {template: ` + template + `}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: llama}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: StatefulSet, name: llama}, minReplicas: 2, maxReplicas: 6}`,
			"StatefulSet llama: 2-6" + one},
		"job": {`apiVersion: batch/v1
kind: Job
metadata: {name: tune}
spec: {parallelism: 4, completions: 3, template: ` + template + `}`,
			"Job tune: 3" + one},
		"jobset": {`apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata: {name: tune}
spec:
  replicatedJobs:
    - {name: driver, template: {spec: {template: {spec: {containers: [{name: a, resources: {requests: {cpu: 2}}}]}}}}}
    - {name: workers, replicas: 2, template: {spec: {parallelism: 3, template: ` + template + `}}}`,
			"JobSet tune (driver): 1; cpu 2\nJobSet tune (workers): 6" + one},
		"leader and workers": {`apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
metadata: {name: llama}
spec:
  replicas: 2
  rolloutStrategy: {rollingUpdateConfiguration: {maxSurge: 1, maxUnavailable: 0}}
  leaderWorkerTemplate:
    size: 4
    leaderTemplate: {spec: {containers: [{name: a, resources: {requests: {cpu: 2}}}]}}
    workerTemplate: ` + template,
			"LeaderWorkerSet llama (leaders): 2 (+1); cpu 2\nLeaderWorkerSet llama (workers): 6 (+3)" + one},
		"groups that are autoscaled": {`apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
metadata: {name: llama}
spec: {leaderWorkerTemplate: {size: 2, workerTemplate: ` + template + `}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: llama}
spec: {scaleTargetRef: {apiVersion: leaderworkerset.x-k8s.io/v1, kind: LeaderWorkerSet, name: llama}, minReplicas: 3, maxReplicas: 5}`,
			"LeaderWorkerSet llama (leaders): 3-5" + one + "\nLeaderWorkerSet llama (workers): 3-5" + one},
		"inference service": {`apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: llama}
spec:
  predictor:
    minReplicas: 2
    deploymentStrategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}
    nodeSelector: {nvidia.com/gpu.product: H100}
    model: {modelFormat: {name: huggingface}, storageUri: "oci://a", resources: {limits: {nvidia.com/gpu: "2"}}}
  transformer: {minReplicas: 4, containers: [{name: a, resources: {requests: {cpu: "1"}}}]}`,
			"InferenceService llama (predictor): 2; 2 × nvidia.com/gpu on nvidia.com/gpu.product=H100\nInferenceService llama (transformer): 4; cpu 1"},
		"device claims": {`apiVersion: resource.k8s.io/v1
kind: ResourceClaimTemplate
metadata: {name: llama-gpu}
spec:
  spec:
    devices:
      requests:
        - name: gpu
          exactly:
            deviceClassName: gpu.nvidia.com
            count: 2
            selectors: [{cel: {expression: "device.attributes['gpu.nvidia.com'].productName ==\n  'H100'"}}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: llama}
spec:
  replicas: 2
  template:
    spec:
      resourceClaims: [{name: gpu, resourceClaimTemplateName: llama-gpu}, {name: nic, resourceClaimName: nic}]
      containers: [{name: server, resources: {claims: [{name: gpu}]}}]`,
			"StatefulSet llama: 2; 2 × gpu.nvidia.com with device.attributes['gpu.nvidia.com'].productName == 'H100'; unknown nic"},
		"a claim for one device, and for all there are": {`apiVersion: resource.k8s.io/v1
kind: ResourceClaimTemplate
metadata: {name: llama-gpu}
spec: {spec: {devices: {requests: [{name: gpu, firstAvailable: [{name: large, deviceClassName: large}, {name: small, deviceClassName: small, count: 2}]}, {name: nics, exactly: {deviceClassName: nic, allocationMode: All}}, {name: one, exactly: {deviceClassName: one}}]}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: llama}
spec: {template: {spec: {resourceClaims: [{name: gpu, resourceClaimTemplateName: llama-gpu}], containers: [{name: server}]}}}`,
			"StatefulSet llama: 1; 1 × large; 1 × one"},
		"no more surge than there are pods": {`apiVersion: apps/v1
kind: Deployment
metadata: {name: llama}
spec: {replicas: 2, strategy: {rollingUpdate: {maxSurge: 3, maxUnavailable: 0}}, template: ` + template + `}`,
			"Deployment llama: 2 (+2)" + one},
		"node affinity, and the larger of init containers and containers": {`apiVersion: apps/v1
kind: StatefulSet
metadata: {name: llama}
spec:
  template:
    spec:
      affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: gpu, operator: In, values: [a, b]}, {key: old, operator: DoesNotExist}]}]}}}
      initContainers: [{name: load, resources: {requests: {memory: 8Gi, cpu: "1"}}}]
      containers: [{name: server, resources: {requests: {memory: 4Gi}, limits: {amd.com/gpu: 1}}}, {name: sidecar, resources: {requests: {memory: 1Gi}}}]`,
			"StatefulSet llama: 1; 1 × amd.com/gpu on gpu in (a,b),!old; cpu 1; memory 8Gi"},
		"what makes no pods": {"apiVersion: v1\nkind: Service\nmetadata: {name: llama}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var lines []string
			for _, p := range podsIn(t, c.text) {
				lines = append(lines, line(p))
			}
			if got := strings.Join(lines, "\n"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestDemandRefuses(t *testing.T) {
	_, err := Demand(objects(t, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: llama}\nspec: {replicas: many}"))
	if err == nil || !strings.HasPrefix(err.Error(), "reading Deployment llama: ") {
		t.Errorf("got %v", err)
	}
}
