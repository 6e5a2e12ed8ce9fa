package capacity

import (
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Pods are pods alike that one object asks for.
type Pods struct {
	// Object is what makes them: "Deployment llama", or "JobSet tune (workers)" for a part of one.
	Object string
	Count  int
	// Most is what an autoscaler may make of Count; zero when there is none.
	Most int
	// Needs is what one of them requests.
	Needs Amounts
	// Claims are the device claims made for one of them.
	Claims []*resourcev1.ResourceClaim
	// Unknown names the device claims of which nothing is known, since they are not rendered beside.
	Unknown []string

	template corev1.PodTemplateSpec
	surge    func(count int) int // nil when old ones always go first
}

// Surge is how many run beside all the old ones while a new revision rolls out.
func (p *Pods) Surge() int {
	if p.surge == nil {
		return 0
	}
	return p.surge(p.Count)
}

// Demand lists the pods that objects ask for. Kinds it does not know, and DaemonSets, which take what there is on
// each node, ask for none.
func Demand(objects []*unstructured.Unstructured) ([]Pods, error) {
	d := demand{templates: map[string]*resourcev1.ResourceClaimTemplate{}}
	for _, o := range objects {
		if err := d.beside(o); err != nil {
			return nil, fmt.Errorf("reading %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	for _, o := range objects {
		pods, err := podsOf(o)
		if err != nil {
			return nil, fmt.Errorf("reading %s %s: %w", o.GetKind(), o.GetName(), err)
		}
		for _, p := range pods {
			d.pods = append(d.pods, d.complete(o, p))
		}
	}
	return d.pods, nil
}

type demand struct {
	templates map[string]*resourcev1.ResourceClaimTemplate // by name
	scalers   []scaler
	pods      []Pods
}

// scaler is as much of a HorizontalPodAutoscaler as counts.
type scaler struct {
	Spec struct {
		ScaleTargetRef struct{ Kind, Name string }
		MinReplicas    *int32
		MaxReplicas    int32
	}
}

// beside reads what says something of other objects.
func (d *demand) beside(o *unstructured.Unstructured) error {
	switch kind := o.GroupVersionKind(); {
	case kind.Group == "autoscaling" && kind.Kind == "HorizontalPodAutoscaler":
		s, err := decode[scaler](o)
		if err == nil {
			d.scalers = append(d.scalers, *s)
		}
		return err
	case kind.Group == resourcev1.GroupName && kind.Kind == "ResourceClaimTemplate" && (kind.Version == "v1" || kind.Version == "v1beta2"): // the same fields
		t, err := decode[resourcev1.ResourceClaimTemplate](o)
		if err == nil {
			d.templates[t.Name] = t
		}
		return err
	}
	return nil
}

// set is pods of one template before what stands beside them is known.
type set struct {
	part     string // of an object that makes several sets
	template corev1.PodTemplateSpec
	count    int
	surge    func(count int) int
	group    int // how many of them a replica has; 1 when zero
}

func podsOf(o *unstructured.Unstructured) ([]set, error) {
	switch kind := o.GroupVersionKind().GroupKind(); kind {
	case schema.GroupKind{Group: "apps", Kind: "Deployment"}:
		d, err := decode[appsv1.Deployment](o)
		if err != nil {
			return nil, err
		}
		return []set{{template: d.Spec.Template, count: or(d.Spec.Replicas, 1), surge: deploymentSurge(d.Spec.Strategy)}}, nil
	case schema.GroupKind{Group: "apps", Kind: "StatefulSet"}:
		s, err := decode[appsv1.StatefulSet](o)
		if err != nil {
			return nil, err
		}
		return []set{{template: s.Spec.Template, count: or(s.Spec.Replicas, 1)}}, nil
	case schema.GroupKind{Group: "batch", Kind: "Job"}:
		j, err := decode[batchv1.Job](o)
		if err != nil {
			return nil, err
		}
		return []set{{template: j.Spec.Template, count: parallelism(j.Spec)}}, nil
	case schema.GroupKind{Group: "jobset.x-k8s.io", Kind: "JobSet"}:
		return read(o, (*jobSet).sets)
	case schema.GroupKind{Group: "leaderworkerset.x-k8s.io", Kind: "LeaderWorkerSet"}:
		return read(o, (*leaderWorkerSet).sets)
	case schema.GroupKind{Group: "serving.kserve.io", Kind: "InferenceService"}:
		return read(o, (*inferenceService).sets)
	}
	return nil, nil
}

func read[T any](o *unstructured.Unstructured, sets func(*T) []set) ([]set, error) {
	object, err := decode[T](o)
	if err != nil {
		return nil, err
	}
	return sets(object), nil
}

func decode[T any](o *unstructured.Unstructured) (*T, error) {
	data, err := json.Marshal(o.Object)
	if err != nil {
		return nil, err
	}
	out := new(T)
	return out, json.Unmarshal(data, out)
}

// complete adds what stands beside a set: its autoscaler and the templates of its claims.
func (d *demand) complete(o *unstructured.Unstructured, s set) Pods {
	p := Pods{Object: o.GetKind() + " " + o.GetName(), Count: s.count, Needs: needs(&s.template.Spec), template: s.template, surge: s.surge}
	if s.part != "" {
		p.Object += " (" + s.part + ")"
	}
	for _, scaler := range d.scalers {
		if t := scaler.Spec.ScaleTargetRef; t.Kind == o.GetKind() && t.Name == o.GetName() {
			each := max(s.group, 1)
			p.Count, p.Most = or(scaler.Spec.MinReplicas, 1)*each, int(scaler.Spec.MaxReplicas)*each
		}
	}
	for _, c := range s.template.Spec.ResourceClaims {
		name := c.ResourceClaimTemplateName
		if name == nil || d.templates[*name] == nil {
			p.Unknown = append(p.Unknown, c.Name)
			continue
		}
		p.Claims = append(p.Claims, claim(d.templates[*name], c, o.GetNamespace()))
	}
	return p
}

func or(n *int32, def int) int {
	if n == nil {
		return def
	}
	return int(*n)
}
