package cluster

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// TestMemory holds 10,000 releases of four objects each as a Watcher does, in less than 80 MiB.
func TestMemory(t *testing.T) {
	const releases, most = 10_000, 80 << 20
	before := inUse()
	stores := make([]cache.Store, 4)
	own := make([]map[string]written, 4)
	for kind := range stores {
		stores[kind], own[kind] = cache.NewStore(cache.DeletionHandlingMetaNamespaceKeyFunc), map[string]written{}
		for i := range releases {
			o, err := keep(received4(t, kind, i))
			if err == nil {
				err = stores[kind].Add(o)
			}
			if err != nil {
				t.Fatal(err)
			}
			own[kind][fmt.Sprintf("production/iris-%d", i)] = written{version: fmt.Sprint(i), hash: fmt.Sprintf("%020d", i)}
		}
	}
	took := inUse() - before
	if t.Logf("%d MiB", took>>20); took > most {
		t.Errorf("%d MiB for %d releases", took>>20, releases)
	}
	runtime.KeepAlive(stores)
	runtime.KeepAlive(own)
}

// received4 is an object as the API server sends it: a Deployment, or the metadata of another kind.
func received4(t *testing.T, kind, i int) any {
	t.Helper()
	fields := `{"f:metadata":{"f:labels":{"f:davit.dev/release":{},"f:applyset.kubernetes.io/part-of":{}}},"f:spec":{"f:replicas":{},"f:selector":{},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"server\"}":{".":{},"f:image":{},"f:name":{}}}}}}}`
	text := fmt.Sprintf(`{"metadata":{"name":"iris-%d","namespace":"production","uid":"0d1f0b1c-6f0c-4b7e-9d55-%012d","resourceVersion":"%d","generation":1,
		"labels":{"davit.dev/release":"iris-%d","davit.dev/environment":"production","applyset.kubernetes.io/part-of":"applyset-0123456789012345678901234567890123456789%d-v1"},
		"managedFields":[{"manager":"davit","operation":"Apply","apiVersion":"apps/v1","time":"2026-11-24T12:00:00Z","fieldsType":"FieldsV1","fieldsV1":%s}]},
		"spec":{"replicas":2,"template":{"spec":{"containers":[{"name":"server","image":"registry.example.com/server@sha256:00"}]}}},
		"status":{"observedGeneration":1,"replicas":2,"updatedReplicas":2,"readyReplicas":2,"availableReplicas":2,"conditions":[
			{"type":"Available","status":"True","reason":"MinimumReplicasAvailable","message":"Deployment has minimum availability."},
			{"type":"Progressing","status":"True","reason":"NewReplicaSetAvailable","message":"ReplicaSet \"iris-%d\" has successfully progressed."}]}}`,
		i, i, i+1, i, i, fields, i)
	var o any = &metav1.PartialObjectMetadata{}
	if kind == 0 {
		o = &appsv1.Deployment{}
	}
	if err := json.Unmarshal([]byte(text), o); err != nil {
		t.Fatal(err)
	}
	return o
}

func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
