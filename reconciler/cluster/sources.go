package cluster

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// The kinds that are treated in a way of their own.
var (
	kindSecret       = schema.GroupKind{Kind: "Secret"}
	kindPod          = schema.GroupKind{Kind: "Pod"}
	kindClaim        = schema.GroupKind{Kind: "PersistentVolumeClaim"}
	kindService      = schema.GroupKind{Kind: "Service"}
	kindDeployment   = schema.GroupKind{Group: "apps", Kind: "Deployment"}
	kindStatefulSet  = schema.GroupKind{Group: "apps", Kind: "StatefulSet"}
	kindDaemonSet    = schema.GroupKind{Group: "apps", Kind: "DaemonSet"}
	kindReplicaSet   = schema.GroupKind{Group: "apps", Kind: "ReplicaSet"}
	kindJob          = schema.GroupKind{Group: "batch", Kind: "Job"}
	kindJobSet       = schema.GroupKind{Group: "jobset.x-k8s.io", Kind: "JobSet"}
	kindLeaderWorker = schema.GroupKind{Group: "leaderworkerset.x-k8s.io", Kind: "LeaderWorkerSet"}
	kindInference    = schema.GroupKind{Group: "serving.kserve.io", Kind: "InferenceService"}
	kindHTTPRoute    = schema.GroupKind{Group: "gateway.networking.k8s.io", Kind: "HTTPRoute"}
	kindAutoscaler   = schema.GroupKind{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}
	kindRelease      = schema.GroupKind{Group: v1alpha1.GroupVersion.Group, Kind: v1alpha1.Kind}
)

// silent are groups whose kinds have no status that says whether they are ready, or none that a release waits
// for: a load balancer's address says nothing of the model.
var silent = map[string]bool{
	"": true, "rbac.authorization.k8s.io": true, "networking.k8s.io": true, "policy": true,
	"scheduling.k8s.io": true, "resource.k8s.io": true, "autoscaling": true,
}

// statusless says that only the metadata of a kind is watched.
func statusless(kind schema.GroupKind) bool {
	switch kind {
	case kindClaim, kindAutoscaler:
		return false
	case kindReplicaSet, kindRelease:
		return true
	}
	return silent[kind.Group]
}

// source is how a kind is listed and watched in a namespace, restricted to objects that bear the release's
// label, and what its items are. Kinds with a type of their own come as protobuf, which costs a third of JSON.
func (c *Cluster) source(m *meta.RESTMapping, namespace string) (cache.ListerWatcher, runtime.Object) {
	switch kind := m.GroupVersionKind.GroupKind(); kind {
	case kindPod:
		client := c.typed.CoreV1().Pods(namespace)
		return listWatch(c.typed, client.List, client.Watch), &corev1.Pod{}
	case kindDeployment:
		client := c.typed.AppsV1().Deployments(namespace)
		return listWatch(c.typed, client.List, client.Watch), &appsv1.Deployment{}
	case kindStatefulSet:
		client := c.typed.AppsV1().StatefulSets(namespace)
		return listWatch(c.typed, client.List, client.Watch), &appsv1.StatefulSet{}
	case kindDaemonSet:
		client := c.typed.AppsV1().DaemonSets(namespace)
		return listWatch(c.typed, client.List, client.Watch), &appsv1.DaemonSet{}
	case kindJob:
		client := c.typed.BatchV1().Jobs(namespace)
		return listWatch(c.typed, client.List, client.Watch), &batchv1.Job{}
	default:
		if statusless(kind) {
			client := c.metadata.Resource(m.Resource).Namespace(namespace)
			return listWatch(c.metadata, client.List, client.Watch), &metav1.PartialObjectMetadata{}
		}
		client := c.dynamic.Resource(m.Resource).Namespace(namespace)
		return listWatch(c.dynamic, client.List, client.Watch), &unstructured.Unstructured{}
	}
}

func listWatch[L runtime.Object](
	client any, list func(context.Context, metav1.ListOptions) (L, error),
	follow func(context.Context, metav1.ListOptions) (watch.Interface, error),
) cache.ListerWatcher {
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			opts.LabelSelector = LabelRelease
			return list(ctx, opts)
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			opts.LabelSelector = LabelRelease
			return follow(ctx, opts)
		},
	}, client)
}
