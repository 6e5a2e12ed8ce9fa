package render

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/registry"
)

// replicatedJob is the one group of pods in a JobSet. Kubeflow's runtimes call it so too.
const replicatedJob = "node"

const jobSetVersion = "jobset.x-k8s.io/v1alpha2"

func (e *execution) replacement(from, to string) replacement {
	return copied(object{"group": "batch", "version": "v1", "kind": "Job", "name": e.run}, from,
		object{"group": "jobset.x-k8s.io", "kind": "JobSet", "name": e.run}, to)
}

// wrapped lays two kustomizations over the Job, one that copies it into a JobSet and one that removes it: within
// one, Kustomize would patch before it replaces.
func (e *execution) wrapped(tree map[string][]byte, below []*unstructured.Unstructured) (map[string][]byte, *Output, error) {
	job := lookup(below, "Job", e.run)
	filled := kustomization{
		Resources:      []string{"../job", "jobset.yaml"},
		Configurations: []string{"names.yaml"},
		Replacements: []replacement{
			e.replacement("spec", "spec.replicatedJobs.0.template.spec"),
			e.replacement("metadata.labels", "metadata.labels"),
		},
	}
	// One by one: all of them would be Kustomize's own too, by which it tells objects apart while it builds.
	for _, key := range slices.Sorted(maps.Keys(job.GetAnnotations())) {
		field := "metadata.annotations.[" + key + "]"
		filled.Replacements = append(filled.Replacements, e.replacement(field, field))
	}
	removal := object{"apiVersion": "batch/v1", "kind": "Job", "metadata": object{"name": e.run, "namespace": e.namespace()}, "$patch": "delete"}
	root := kustomization{
		Resources: []string{"layers/jobset"}, Patches: []patch{{Path: "job.yaml"}},
		SortOptions: map[string]string{"order": "legacy"},
	}
	dir := e.root() + "/layers/jobset/"
	for _, f := range []struct {
		name string
		v    any
	}{
		{dir + "jobset.yaml", e.jobSetObject()}, {dir + "names.yaml", podReferences("JobSet", "spec/replicatedJobs/template/spec/template/spec/")}, {dir + "kustomization.yaml", filled.generated()},
		{e.root() + "/job.yaml", removal}, {e.root() + "/kustomization.yaml", root.generated()},
	} {
		if err := write(tree, f.name, f.v); err != nil {
			return nil, nil, err
		}
	}
	tree, out, err := e.printed(tree, e.root())
	if err != nil {
		return nil, nil, err
	}
	if len(out.Objects) != len(below) || lookup(out.Objects, "JobSet", e.run) == nil || lookup(out.Objects, "Job", e.run) != nil {
		return nil, nil, fmt.Errorf("building %s: %w", e.root(), errors.New("the Job did not become a JobSet"))
	}
	return tree, out, nil
}

// jobSetObject is the JobSet without its Job.
func (e *execution) jobSetObject() object {
	return object{
		"apiVersion": jobSetVersion, "kind": "JobSet", "metadata": object{"name": e.run, "namespace": e.namespace()},
		"spec": object{
			"failurePolicy": object{
				"maxRestarts": e.Spec.Retries,
				// Else the pods of two attempts would share GPUs, names and checkpoints.
				"restartStrategy": "BlockingRecreate",
				"rules":           e.restarts(),
			},
			"network":                 object{"enableDNSHostnames": true, "publishNotReadyAddresses": true, "subdomain": e.run},
			"replicatedJobs":          []any{object{"name": replicatedJob, "replicas": 1, "template": object{}}},
			"successPolicy":           object{"operator": "All"},
			"ttlSecondsAfterFinished": seconds(e.Spec.TTL.Or(registry.DefaultTTL)),
		},
	}
}

// restarts are the rules by which a failed attempt is followed by another; one that none speaks of costs a retry.
// The Job's podFailurePolicy has one reason for fatal codes and disruptions, so the message tells them apart: its
// text is the Job controller's ("Container … failed with exit code …"), and patterns need JobSet 0.10.
func (e *execution) restarts() (rules []any) {
	if len(e.fatalExitCodes()) > 0 || e.Environment.Publishes() {
		rules = append(rules, object{"name": "fatalExitCode", "action": "FailJobSet", "onJobFailureReasons": []any{"PodFailurePolicy"},
			"onJobFailureMessagePatterns": []any{`^Container \S+ for pod \S+ failed with exit code `}})
	}
	return append(rules,
		object{"name": "disruption", "action": "RestartJobSetAndIgnoreMaxRestarts", "onJobFailureReasons": []any{"PodFailurePolicy"}},
		object{"name": "deadline", "action": "FailJobSet", "onJobFailureReasons": []any{"DeadlineExceeded"}},
	)
}
