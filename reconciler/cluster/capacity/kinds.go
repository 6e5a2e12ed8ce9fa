package capacity

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// jobSet is as much of JobSet's v1alpha2 as counts.
type jobSet struct {
	Spec struct {
		ReplicatedJobs []struct {
			Name     string
			Replicas *int32
			Template struct{ Spec batchv1.JobSpec }
		}
	}
}

func (j *jobSet) sets() (all []set) {
	for _, job := range j.Spec.ReplicatedJobs {
		n := or(job.Replicas, 1) * parallelism(job.Template.Spec)
		all = append(all, set{part: job.Name, template: job.Template.Spec.Template, count: n})
	}
	return all
}

// parallelism is how many pods of a Job run at once, which are never more than it has to complete.
func parallelism(j batchv1.JobSpec) int {
	n := or(j.Parallelism, 1)
	return min(n, or(j.Completions, n))
}

// leaderWorkerSet is as much of LeaderWorkerSet's v1 as counts.
type leaderWorkerSet struct {
	Spec struct {
		Replicas             *int32
		LeaderWorkerTemplate struct {
			Size           *int32
			LeaderTemplate *corev1.PodTemplateSpec
			WorkerTemplate corev1.PodTemplateSpec
		}
		RolloutStrategy struct {
			RollingUpdateConfiguration struct {
				MaxUnavailable, MaxSurge *intstr.IntOrString
			}
		}
	}
}

func (l *leaderWorkerSet) sets() []set {
	groups, t := or(l.Spec.Replicas, 1), l.Spec.LeaderWorkerTemplate
	rolling := l.Spec.RolloutStrategy.RollingUpdateConfiguration
	more := surge(rolling.MaxSurge, rolling.MaxUnavailable, intstr.FromInt32(0), intstr.FromInt32(1))
	workers, leader := or(t.Size, 1)-1, t.WorkerTemplate
	if t.LeaderTemplate != nil {
		leader = *t.LeaderTemplate
	}
	all := []set{{part: "leaders", template: leader, count: groups, surge: more}}
	if workers > 0 {
		all = append(all, set{part: "workers", template: t.WorkerTemplate, count: groups * workers, group: workers,
			surge: func(n int) int { return more(n/workers) * workers }})
	}
	return all
}

// inferenceService is as much of KServe's v1beta1 as counts. What a ServingRuntime in the cluster adds to the
// predictor's requests is not known.
type inferenceService struct {
	Spec struct {
		Predictor              component
		Transformer, Explainer *component
	}
}

type component struct {
	corev1.PodSpec     `json:",inline"`
	Model              *corev1.Container
	MinReplicas        *int32
	DeploymentStrategy *appsv1.DeploymentStrategy
}

func (i *inferenceService) sets() (all []set) {
	add := func(name string, c *component) {
		if c == nil {
			return
		}
		if c.Model != nil {
			c.Containers = append(c.Containers, *c.Model)
		}
		strategy := appsv1.DeploymentStrategy{}
		if c.DeploymentStrategy != nil {
			strategy = *c.DeploymentStrategy
		}
		all = append(all, set{part: name, template: corev1.PodTemplateSpec{Spec: c.PodSpec}, count: or(c.MinReplicas, 1), surge: deploymentSurge(strategy)})
	}
	add("predictor", &i.Spec.Predictor)
	add("transformer", i.Spec.Transformer)
	add("explainer", i.Spec.Explainer)
	return all
}

// deploymentSurge is by how many pods a Deployment needs more room to roll.
func deploymentSurge(s appsv1.DeploymentStrategy) func(int) int {
	if s.Type == appsv1.RecreateDeploymentStrategyType {
		return nil
	}
	rolling := s.RollingUpdate
	if rolling == nil {
		rolling = &appsv1.RollingUpdateDeployment{}
	}
	quarter := intstr.FromString("25%")
	return surge(rolling.MaxSurge, rolling.MaxUnavailable, quarter, quarter)
}

// surge is how many of n come before any old one may go. Where an old one may go first, those that find no room take
// its place, and nothing waits for room beside. Surges are rounded up and the unavailable down, as the Deployment
// controller does.
func surge(more, fewer *intstr.IntOrString, defaultMore, defaultFewer intstr.IntOrString) func(n int) int {
	return func(n int) int {
		up, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(more, defaultMore), n, true)
		if err != nil {
			return 0 // the API server refuses it
		}
		down, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(fewer, defaultFewer), n, false)
		if err != nil || down > 0 {
			return 0
		}
		return min(up, n)
	}
}
