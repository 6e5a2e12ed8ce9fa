package cluster_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// installKind adds a kind that takes any fields and has a status, as a stand-in for a controller's own CRD.
func installKind(t *testing.T, group, version, kind string) {
	t.Helper()
	ext, err := apiextensions.NewForConfig(restConfig)
	if err != nil {
		t.Fatal(err)
	}
	crds := ext.ApiextensionsV1().CustomResourceDefinitions()
	plural, yes := strings.ToLower(kind)+"s", true
	crd := &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: plural + "." + group, Annotations: map[string]string{"api-approved.kubernetes.io": "unapproved, a test"}},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: group, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: plural, Singular: strings.ToLower(kind), Kind: kind},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: version, Served: true, Storage: true,
				Schema:       &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &yes}},
				Subresources: &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
			}},
		},
	}
	if _, err := crds.Create(t.Context(), crd, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	eventually(t, func() error {
		live, err := crds.Get(t.Context(), crd.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range live.Status.Conditions {
			if c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue {
				// Discovery and what serves the kind follow by queues of their own.
				_, err := ext.Discovery().ServerResourcesForGroupVersion(group + "/" + version)
				return errors.Join(err, ext.ApiextensionsV1().RESTClient().Get().AbsPath("/apis", group, version, plural).Do(t.Context()).Error())
			}
		}
		return errors.New("not established")
	})
}

// setStatus writes an object's status as its controller does.
func setStatus(t *testing.T, ns, apiVersion, plural, status string) {
	t.Helper()
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		t.Fatal(err)
	}
	body, err := yaml.YAMLToJSON([]byte("status: " + status))
	if err != nil {
		t.Fatal(err)
	}
	_, err = dynamicClient(t, gv.Group, gv.Version, plural, ns).Patch(t.Context(), "iris", types.MergePatchType, body, metav1.PatchOptions{FieldManager: "controller"}, "status")
	if err != nil {
		t.Fatal(err)
	}
}

func TestKindsWithAControllerOfTheirOwn(t *testing.T) {
	since := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	condition := func(typ, status, reason, message string) string {
		return fmt.Sprintf("{type: %s, status: %q, reason: %s, message: %q, observedGeneration: 1, lastTransitionTime: %q}",
			typ, status, reason, message, since.UTC().Format(time.RFC3339))
	}
	conditions := func(all ...string) string { return "conditions: [" + strings.Join(all, ", ") + "]" }
	parent := func(all ...string) string {
		return "{parents: [{controllerName: a/b, parentRef: {group: gateway.networking.k8s.io, kind: Gateway, name: inference}, " + conditions(all...) + "}]}"
	}
	type step struct {
		status  string // empty: the controller did not look yet
		state   cluster.State
		reason  string
		message string
	}
	for _, test := range []struct {
		apiVersion, kind, spec string
		steps                  []step
	}{
		{"jobset.x-k8s.io/v1alpha2", "JobSet", "{suspend: true, managedBy: example.com/test}", []step{
			{"", cluster.Progressing, "Running", "runs"},
			{"{" + conditions(condition("Suspended", "True", "SuspendedJobs", "jobset is suspended")) + "}", cluster.Waiting, "Suspended", "waits for admission"},
			{"{restarts: 2, " + conditions(condition("Suspended", "False", "ResumeJobs", "resumed")) + "}", cluster.Progressing, "Restarted", "2 restarts"},
			{"{" + conditions(condition("Completed", "True", "AllJobsCompleted", "jobset completed successfully")) + "}", cluster.Ready, "", ""},
			{"{" + conditions(condition("Failed", "True", "ReachedMaxRestarts", "jobset failed due to reaching max number of restarts")) + "}", cluster.Failed, "ReachedMaxRestarts", "max number of restarts"},
		}},
		{"leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", "{replicas: 2}", []step{
			{"", cluster.Progressing, "Unobserved", ""},
			{"{replicas: 2, updatedReplicas: 1, readyReplicas: 1, " + conditions(condition("Available", "False", "GroupsNotReady", "not all ready")) + "}", cluster.Progressing, "RollingOut", "1 of 2 groups"},
			{"{updatedReplicas: 2, readyReplicas: 1}", cluster.Progressing, "NotReady", "1 of 2 groups"},
			{"{readyReplicas: 2, " + conditions(condition("Available", "True", "AllGroupsReady", "All replicas are ready")) + "}", cluster.Ready, "", ""},
		}},
		{"serving.kserve.io/v1beta1", "InferenceService", "{predictor: {}}", []step{
			{"", cluster.Progressing, "Unobserved", ""},
			{"{observedGeneration: 1, " + conditions(condition("PredictorReady", "False", "RevisionFailed", "no quota"), condition("Ready", "False", "PredictorNotReady", "")) + "}", cluster.Progressing, "RevisionFailed", "no quota"},
			{`{modelStatus: {transitionStatus: BlockedByFailedLoad, lastFailureInfo: {reason: ModelLoadFailed, exitCode: 1, message: "s3cret prompt"}}}`, cluster.Failed, "ModelLoadFailed", "exit code 1"},
			{"{modelStatus: {transitionStatus: UpToDate}, " + conditions(condition("Ready", "True", "", "")) + "}", cluster.Ready, "", ""},
		}},
		{"gateway.networking.k8s.io/v1", "HTTPRoute", "{parentRefs: [{name: inference}]}", []step{
			{"", cluster.Waiting, "NoGateway", "no gateway inference has looked"},
			{parent(condition("Accepted", "False", "NotAllowedByListeners", "no listener allows it")), cluster.Waiting, "NotAllowedByListeners", "no listener allows it"},
			{parent(condition("Accepted", "True", "Accepted", ""), condition("ResolvedRefs", "False", "BackendNotFound", "service iris")), cluster.Waiting, "BackendNotFound", "service iris"},
			{parent(condition("Accepted", "True", "Accepted", ""), condition("ResolvedRefs", "True", "ResolvedRefs", "")), cluster.Ready, "", ""},
		}},
		{"example.com/v1", "Anything", "{a: 1}", []step{
			{"{observedGeneration: 1, " + conditions(condition("Ready", "False", "Soon", "soon")) + "}", cluster.Progressing, "NotReady", "soon"},
			{"{" + conditions(condition("Stalled", "True", "Never", "never")) + "}", cluster.Failed, "Stalled", "never"},
			{"{" + conditions(condition("Ready", "True", "Now", "")) + "}", cluster.Ready, "", ""},
		}},
	} {
		t.Run(test.kind, func(t *testing.T) {
			group, version, _ := strings.Cut(test.apiVersion, "/")
			installKind(t, group, version, test.kind)
			c, ns := open(t)
			w, _ := watch(t, c)
			mr, _ := deploy(t, c, ns, "c1", fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: iris, labels: {davit.dev/release: iris}}\nspec: %s", test.apiVersion, test.kind, test.spec))
			for _, s := range test.steps {
				if s.status != "" {
					setStatus(t, ns, test.apiVersion, strings.ToLower(test.kind)+"s", s.status)
				}
				health(t, w, mr, cluster.HealthOptions{}, s.state, s.reason, s.message)
			}
			if h := w.Health(t.Context(), mr, cluster.HealthOptions{}); strings.Contains(h.Message, "s3cret") {
				t.Errorf("a log line is in the message: %s", h.Message)
			}
		})
	}
}

func health(t *testing.T, w *cluster.Watcher, mr *v1alpha1.ModelRelease, opts cluster.HealthOptions, state cluster.State, reason, message string) {
	t.Helper()
	eventually(t, func() error {
		h := w.Health(t.Context(), mr, opts)
		if h.State != state || h.Reason != reason || !strings.Contains(h.Message, message) {
			return fmt.Errorf("%s %s %q, want %s %s %q", h.State, h.Reason, h.Message, state, reason, message)
		}
		return nil
	})
}

// TestPodsOfCustomKindsAreJudged has a LeaderWorkerSet whose leader's image is not there: its own status says
// only that it is not ready.
func TestPodsOfCustomKindsAreJudged(t *testing.T) {
	installKind(t, "leaderworkerset.x-k8s.io", "v1", "LeaderWorkerSet")
	c, ns := open(t)
	w, _ := watch(t, c)
	const text = "apiVersion: leaderworkerset.x-k8s.io/v1\nkind: LeaderWorkerSet\nmetadata: {name: iris, labels: {davit.dev/release: iris}}\nspec: {replicas: 1}"
	mr, _ := deploy(t, c, ns, "c1", text)
	setStatus(t, ns, "leaderworkerset.x-k8s.io/v1", "leaderworkersets", "{updatedReplicas: 1, readyReplicas: 0, conditions: [{type: Available, status: \"False\"}]}")
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "iris-0", Labels: map[string]string{"davit.dev/release": "iris", "leaderworkerset.sigs.k8s.io/name": "iris", "leaderworkerset.sigs.k8s.io/template-revision-hash": "a"}},
		Spec:       corev1.PodSpec{NodeSelector: map[string]string{"no": "node"}, Containers: []corev1.Container{{Name: "server", Image: "a"}}},
	}
	if _, err := client.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	patch := []byte(`{"status":{"containerStatuses":[{"name":"server","image":"a","imageID":"","restartCount":2,"ready":false,"state":{"waiting":{"reason":"CrashLoopBackOff"}},"lastState":{"terminated":{"exitCode":3,"message":"no weights"}}}]}}`)
	if _, err := client.CoreV1().Pods(ns).Patch(t.Context(), "iris-0", types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	health(t, w, mr, cluster.HealthOptions{}, cluster.Failed, cluster.ReasonCrash, "exited with code 3")
}

func TestHealthExpressions(t *testing.T) {
	installKind(t, "example.com", "v1", "Anything")
	c, ns := open(t)
	w, _ := watch(t, c)
	mr, _ := deploy(t, c, ns, "c1", "apiVersion: example.com/v1\nkind: Anything\nmetadata: {name: iris, labels: {davit.dev/release: iris}}\nspec: {want: 2}")
	setStatus(t, ns, "example.com/v1", "anythings", "{have: 1, state: loading}")
	expr := func(current, inProgress, failed string) cluster.HealthOptions {
		return cluster.HealthOptions{Exprs: []cluster.HealthExpr{{APIVersion: "example.com/v1", Kind: "Anything", Current: current, InProgress: inProgress, Failed: failed}}}
	}
	health(t, w, mr, expr("object.status.have >= object.spec.want", "", ""), cluster.Progressing, "NotCurrent", "")
	health(t, w, mr, expr("object.status.have == 1", "", ""), cluster.Ready, "", "")
	health(t, w, mr, expr("true", "object.status.state.startsWith('load')", "true"), cluster.Progressing, "InProgress", "")
	health(t, w, mr, expr("true", "", "object.status.?error.hasValue() || object.status.state == 'loading'"), cluster.Failed, "HealthExpr", "")
	health(t, w, mr, expr("object.status.nothing == 1", "", ""), cluster.Waiting, "HealthExprFailed", "no such key: nothing")
	health(t, w, mr, expr("object.status.have +", "", ""), cluster.Waiting, "HealthExprFailed", "object.status.have +")
	health(t, w, mr, expr("1 + 1", "", ""), cluster.Waiting, "HealthExprFailed", "not true or false")
	list := "[" + strings.Repeat("1,", 100) + "1]"
	costly := list + ".all(a, " + list + ".all(b, " + list + ".all(c, a + b + c > 0)))"
	health(t, w, mr, expr(costly, "", ""), cluster.Waiting, "HealthExprFailed", "cost limit exceeded")
}

func TestAKindThatIsNotThereHoldsNothingUp(t *testing.T) {
	c, ns := open(t)
	w, told := watch(t, c)
	kind := fmt.Sprintf("Late%d", time.Now().UnixNano())
	w.Track(schema.GroupKind{Group: "late.example.com", Kind: kind}, schema.GroupKind{Kind: "ConfigMap"})
	if err := w.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	missing := &v1alpha1.ModelRelease{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "production.iris"}}
	missing.Status.Inventory = []v1alpha1.ObjectRef{{Group: "late.example.com", Version: "v1", Kind: kind, Name: "iris"}}
	health(t, w, missing, cluster.HealthOptions{}, cluster.Waiting, "Unwatched", "no matches for kind")

	installKind(t, "late.example.com", "v1", kind)
	mr, _ := deploy(t, c, ns, "c1", fmt.Sprintf("apiVersion: late.example.com/v1\nkind: %s\nmetadata: {name: iris, labels: {davit.dev/release: iris}}\nspec: {a: 1}", kind))
	health(t, w, mr, cluster.HealthOptions{}, cluster.Ready, "", "")
	for len(told) > 0 {
		<-told
	}
	setStatus(t, ns, "late.example.com/v1", strings.ToLower(kind)+"s", "{conditions: [{type: Ready, status: \"False\", reason: A, message: b}]}")
	health(t, w, mr, cluster.HealthOptions{}, cluster.Progressing, "NotReady", "b")
	want(t, "told", <-told, ns+"/iris")
}

func TestAutoscalersAndVolumes(t *testing.T) {
	c, ns := open(t)
	w, _ := watch(t, c)
	const scaler = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: iris, labels: {davit.dev/release: iris}}\n" +
		"spec: {minReplicas: 1, maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: nowhere}, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]}"
	mr, _ := deploy(t, c, ns, "c1", scaler)
	health(t, w, mr, cluster.HealthOptions{}, cluster.Waiting, "FailedGetScale", "nowhere")
	// A claim that waits for its first pod does not hold up a release.
	mr, _ = deploy(t, c, ns, "c2", config+"\n---\n"+claimOfVolume)
	health(t, w, mr, cluster.HealthOptions{}, cluster.Ready, "", "")
}
