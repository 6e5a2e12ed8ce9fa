package cluster

import (
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"testing"
	"unsafe"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestMemory holds 10,000 releases of four objects each as a Watcher does, in less than 40 MiB.
func TestMemory(t *testing.T) {
	const releases, most = 10_000, 40 << 20
	before := inUse()
	stores := make([]cache.Store, 4)
	own := make([]map[string]string, 4)
	for kind := range stores {
		stores[kind], own[kind] = cache.NewStore(cache.DeletionHandlingMetaNamespaceKeyFunc), map[string]string{}
		for i := range releases {
			o, err := keep(received4(t, kind, i))
			if err == nil {
				err = stores[kind].Add(o)
			}
			if err != nil {
				t.Fatal(err)
			}
			own[kind][fmt.Sprintf("production/iris-%d", i)] = fmt.Sprintf("%020d", i)
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

// TestReceivedShares: what a ModelRelease says several times is there once, and says the same as before.
func TestReceivedShares(t *testing.T) {
	const text = `{"metadata":{"name":"production.iris","labels":{"davit.dev/release":"iris","applyset.kubernetes.io/id":"applyset-1-v1"},
		"annotations":{"applyset.kubernetes.io/tooling":"davit/v1"}},"spec":{"environment":"production","release":"iris"},
		"status":{"applied":{"inputKey":"k2","objectsHash":"h2"},"healthy":{"inputKey":"k2","objectsHash":"h2"},"message":"well",
		"inventory":[{"version":"v1","kind":"Service","name":"iris"},{"version":"v1","kind":"Secret","name":"iris-key"}],
		"outcomes":[{"commit":"c2","outcome":"Healthy","inputKey":"k2"},{"commit":"c1","outcome":"Healthy","inputKey":"k1"}],
		"conditions":[{"type":"Ready","status":"True","reason":"Healthy","message":"well","lastTransitionTime":null}]}}`
	var sent, kept v1alpha1.ModelRelease
	for _, mr := range []*v1alpha1.ModelRelease{&sent, &kept} {
		if err := json.Unmarshal([]byte(text), mr); err != nil {
			t.Fatal(err)
		}
	}
	received(&kept)
	if !reflect.DeepEqual(sent, kept) {
		t.Errorf("got %+v, want %+v", kept, sent)
	}
	spec, st := kept.Spec, kept.Status
	for what, pair := range map[string][2]string{
		"name": {st.Inventory[0].Name, spec.Release}, "label": {kept.Labels[LabelRelease], spec.Release},
		"input key": {st.Healthy.InputKey, st.Applied.InputKey}, "outcome's": {st.Outcomes[0].InputKey, st.Applied.InputKey},
		"hash": {st.Healthy.ObjectsHash, st.Applied.ObjectsHash}, "message": {st.Conditions[0].Message, st.Message},
	} {
		if unsafe.StringData(pair[0]) != unsafe.StringData(pair[1]) {
			t.Errorf("%s is there twice", what)
		}
	}
}
