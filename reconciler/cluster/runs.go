package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// The labels of a training's run, on its objects and pods.
const (
	LabelRun      = "davit.dev/run"
	labelModel    = "davit.dev/model"
	labelTraining = "davit.dev/training"
)

// The containers of a run's pods.
const (
	trainerName   = "trainer"
	publisherName = "publisher"
)

// RunPhase is how far a run is in the cluster.
type RunPhase string

// The phases of a run.
const (
	RunQueued     RunPhase = "Queued"     // Kueue holds it back, or no node has room for it
	RunStarting   RunPhase = "Starting"   // images are pulled, or an attempt that failed is followed by another
	RunRunning    RunPhase = "Running"    // a trainer runs
	RunPublishing RunPhase = "Publishing" // the trainers ended well
	RunSucceeded  RunPhase = "Succeeded"
	RunFailed     RunPhase = "Failed"
)

// Ended says that the phase is the last one.
func (p RunPhase) Ended() bool { return p == RunSucceeded || p == RunFailed }

// RunStatus is one run as its Job or JobSet and pods tell of it.
type RunStatus struct {
	Name      string    `json:"name"`
	Namespace string    `json:"namespace"`
	Kind      string    `json:"kind"` // Job | JobSet
	UID       types.UID `json:"uid"`
	// Training is "model/name", as the labels have it.
	Training    string   `json:"training"`
	Environment string   `json:"environment"`
	Phase       RunPhase `json:"phase"`
	// Reason is one word, Message a line for people. Both are empty while nothing needs saying.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Progress is what [Cluster.Progress] read: "120/2000 loss=0.31".
	Progress string `json:"progress,omitempty"`
	// GPUs are those of all nodes, as far as the containers ask for them by a resource's name; Nodes is how many pods
	// train together.
	GPUs  int `json:"gpus"`
	Nodes int `json:"nodes"`
	// Where are the names of the nodes it is on, sorted.
	Where []string `json:"where,omitempty"`
	// Attempt counts from 1; 0 before the first pod.
	Attempt int       `json:"attempt"`
	Created time.Time `json:"created,omitzero"`
	// Admitted is when nothing held a JobSet back any more: when it was made, or when Kueue let it in. It is zero before,
	// and for a Job, which keeps its deadline by itself.
	Admitted time.Time `json:"admitted,omitzero"`
	// Started is when the first container of its newest pods did.
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	// Deleting says that it goes: it was canceled, or its time to live is over.
	Deleting bool `json:"deleting,omitempty"`
	// Termination is the termination message of rank 0's publisher.
	Termination string `json:"termination,omitempty"`

	pod string // of rank 0
}

// runObject is what counts of a Job or a JobSet.
type runObject struct {
	kind      schema.GroupKind
	meta      metav1.ObjectMeta
	suspended bool
	nodes     int
	admitted  time.Time // of a JobSet
	restarts  int       // of a JobSet
	failed    int       // pods of a Job that is not indexed, each an attempt
	template  corev1.PodSpec
	// end is the condition that ended it, by the Job's words: Complete or Failed.
	end *metav1.Condition
}

// Run reads one run; nil when there is none.
func (c *Cluster) Run(ctx context.Context, namespace, name string) (*RunStatus, error) {
	runs, err := c.runs(ctx, namespace, LabelRun+"="+name)
	if err != nil || len(runs) == 0 {
		return nil, err
	}
	return &runs[0], nil
}

// Runs reads all runs of a namespace, or of all the Config's namespaces when it is empty, newest first. It is davit's
// own user who reads.
func (c *Cluster) Runs(ctx context.Context, namespace string) ([]RunStatus, error) {
	if namespace != "" {
		return c.runs(ctx, namespace, LabelRun)
	}
	var all []RunStatus
	for _, ns := range c.namespaces {
		runs, err := c.runs(ctx, ns, LabelRun)
		if err != nil {
			return nil, err
		}
		all = append(all, runs...)
	}
	slices.SortStableFunc(all, newestFirst)
	return all, nil
}

func newestFirst(a, b RunStatus) int { return b.Created.Compare(a.Created) }

func (c *Cluster) runs(ctx context.Context, namespace, selector string) ([]RunStatus, error) {
	objects, err := c.runObjects(ctx, namespace, selector)
	if err != nil || len(objects) == 0 {
		return nil, err
	}
	pods := map[string][]*corev1.Pod{}
	err = pages(ctx, "pods", func(ctx context.Context, o metav1.ListOptions) (*corev1.PodList, error) {
		o.LabelSelector = selector
		return c.typed.CoreV1().Pods(namespace).List(ctx, o)
	}, func(list *corev1.PodList) {
		for i := range list.Items {
			p := &list.Items[i]
			key := p.Namespace + "/" + p.Labels[LabelRun]
			pods[key] = append(pods[key], p)
		}
	})
	if err != nil {
		return nil, err
	}
	var all []RunStatus
	for _, o := range objects {
		r := o.status(pods[o.meta.Namespace+"/"+o.meta.Name])
		if r.Phase == RunQueued && o.suspended {
			c.held(ctx, &r, o.meta.Labels)
		}
		all = append(all, r)
	}
	slices.SortStableFunc(all, newestFirst)
	return all, nil
}

// runObjects lists Jobs, and JobSets where the cluster has them. A JobSet's Jobs are not runs of their own, nor is a
// Job that bears the label of another name.
func (c *Cluster) runObjects(ctx context.Context, namespace, selector string) (all []runObject, err error) {
	take := func(o runObject) {
		if o.meta.Labels[LabelRun] == o.meta.Name && metav1.GetControllerOf(&o.meta) == nil {
			all = append(all, o)
		}
	}
	err = pages(ctx, "jobs", func(ctx context.Context, o metav1.ListOptions) (*batchv1.JobList, error) {
		o.LabelSelector = selector
		return c.typed.BatchV1().Jobs(namespace).List(ctx, o)
	}, func(list *batchv1.JobList) {
		for i := range list.Items {
			take(jobRun(&list.Items[i]))
		}
	})
	if err != nil {
		return nil, err
	}
	m, err := c.servedMapping(ctx, kindJobSet)
	if err != nil || m == nil {
		return all, err
	}
	err = pages(ctx, "jobsets", func(ctx context.Context, o metav1.ListOptions) (*unstructured.UnstructuredList, error) {
		o.LabelSelector = selector
		return c.dynamic.Resource(m.Resource).Namespace(namespace).List(ctx, o)
	}, func(list *unstructured.UnstructuredList) {
		for i := range list.Items {
			take(jobSetRun(&list.Items[i]))
		}
	})
	return all, err
}

// servedMapping finds a kind that the cluster need not have; nil without it. What it has not is asked for by its
// group alone: the mapper would read all of discovery anew each time.
func (c *Cluster) servedMapping(ctx context.Context, kind schema.GroupKind) (*meta.RESTMapping, error) {
	m, err := c.mapper.RESTMappingWithContext(ctx, kind) // or a server that says nothing would hold the mapper for ever
	if !meta.IsNoMatchError(err) {
		return m, err
	}
	err = c.typed.Discovery().RESTClient().Get().AbsPath("/apis/" + kind.Group).Do(ctx).Error()
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("looking for the API %s: %w", kind.Group, err)
	}
	c.mapper.Reset()
	if m, err = c.mapper.RESTMappingWithContext(ctx, kind); meta.IsNoMatchError(err) {
		return nil, nil
	}
	return m, err
}

func jobRun(j *batchv1.Job) runObject {
	o := runObject{kind: kindJob, meta: j.ObjectMeta, nodes: int(replicas(j.Spec.Completions)), template: j.Spec.Template.Spec}
	o.suspended = j.Spec.Suspend != nil && *j.Spec.Suspend
	if j.Spec.CompletionMode == nil || *j.Spec.CompletionMode != batchv1.IndexedCompletion {
		o.failed = int(j.Status.Failed)
	}
	for _, c := range j.Status.Conditions {
		if c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) {
			o.end = &metav1.Condition{Type: string(c.Type), Reason: c.Reason, Message: c.Message, LastTransitionTime: c.LastTransitionTime}
		}
	}
	if o.failed > 0 && o.end != nil && o.end.Type == string(batchv1.JobFailed) {
		o.failed-- // none came after it
	}
	return o
}

// jobSet is what counts of a JobSet, whose Go types are no dependency of davit's.
type jobSet struct {
	Metadata metav1.ObjectMeta
	Spec     struct {
		Suspend        *bool
		ReplicatedJobs []struct {
			Template batchv1.JobTemplateSpec
		}
	}
	Status struct {
		Conditions []metav1.Condition
		Restarts   int
	}
}

func jobSetRun(u *unstructured.Unstructured) runObject {
	o := runObject{kind: kindJobSet, meta: metav1.ObjectMeta{Namespace: u.GetNamespace(), Name: u.GetName(), Labels: u.GetLabels(), UID: u.GetUID()}}
	var js jobSet
	if body, err := json.Marshal(u.Object); err != nil || json.Unmarshal(body, &js) != nil {
		return o // of another version of the API: it is there, and no more is known
	}
	o.meta = js.Metadata
	o.suspended, o.restarts = js.Spec.Suspend != nil && *js.Spec.Suspend, js.Status.Restarts
	if held := find1(js.Status.Conditions, "Suspended"); !o.suspended {
		o.admitted = js.Metadata.CreationTimestamp.Time
		if held.Status == metav1.ConditionFalse {
			o.admitted = held.LastTransitionTime.Time
		}
	}
	for _, j := range js.Spec.ReplicatedJobs {
		o.nodes += int(replicas(j.Template.Spec.Completions))
		o.template = j.Template.Spec.Template.Spec
	}
	for typ, as := range map[string]batchv1.JobConditionType{"Completed": batchv1.JobComplete, "Failed": batchv1.JobFailed} {
		if c := find1(js.Status.Conditions, typ); c.Status == metav1.ConditionTrue {
			c.Type = string(as)
			o.end = &c
		}
	}
	return o
}

var kindWorkload = schema.GroupKind{Group: "kueue.x-k8s.io", Kind: "Workload"}

// held adds why Kueue lets a run wait, by the Workload that Kueue made of it. Who may not read that is told no more
// than that the run waits.
func (c *Cluster) held(ctx context.Context, r *RunStatus, labels map[string]string) {
	m, err := c.servedMapping(ctx, kindWorkload)
	if err != nil || m == nil {
		return
	}
	list, err := c.dynamic.Resource(m.Resource).Namespace(r.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "kueue.x-k8s.io/job-uid=" + string(r.UID)})
	if err != nil {
		return
	}
	if len(list.Items) == 0 {
		c.unqueued(ctx, r, labels)
	}
	for i := range list.Items {
		var w conditioned
		if body, err := json.Marshal(list.Items[i].Object); err != nil || json.Unmarshal(body, &w) != nil {
			continue
		}
		for _, typ := range []string{"QuotaReserved", "Admitted"} {
			if c := w.condition(typ); c.Status == metav1.ConditionFalse && c.Message != "" {
				r.Reason, r.Message = c.Reason, c.Message
				return
			}
		}
	}
}

// UID tells this cluster from others: it is that of its namespace kube-system, which lives as long as the cluster.
func (c *Cluster) UID(ctx context.Context) (string, error) {
	ns, err := c.metadata.Resource(corev1.SchemeGroupVersion.WithResource("namespaces")).Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("reading the cluster's UID: %w", err)
	}
	return string(ns.UID), nil
}

// progressPrefix begins the line by which a trainer tells how far it is: "davit: progress 120/2000 loss=0.31", done
// and total as whole numbers, and what it likes after them.
const progressPrefix = "davit: progress "

// Progress reads how far the trainer of r's rank 0 is from the last of its log, and puts it into r; nothing where the
// last lines tell nothing, or can't be read within five seconds.
func (c *Cluster) Progress(ctx context.Context, r *RunStatus) {
	if r.pod == "" || r.Phase != RunRunning {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	lines := int64(200) // a progress line among the trainer's own
	out, err := c.as.typed.CoreV1().Pods(r.Namespace).GetLogs(r.pod, &corev1.PodLogOptions{Container: trainerName, TailLines: &lines}).Stream(ctx)
	if err != nil {
		return
	}
	defer out.Close()
	r.Progress = lastProgress(out)
}

// clipped is a text without its line ends, at most 1 KiB of it: what containers wrote goes into lists.
func clipped(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	if len(text) > 1<<10 {
		text = strings.ToValidUTF8(text[:1<<10], "") + "…"
	}
	return text
}
