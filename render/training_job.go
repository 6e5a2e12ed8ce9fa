package render

import (
	"slices"
	"time"

	"github.com/davit-dev/davit/registry"
)

const (
	outputPath      = "/output"
	checkpointsPath = "/checkpoints"
	masterPort      = 29500 // torchrun's own
)

// job is the base: what every training's pods are.
func (e *execution) job() object {
	return object{
		"apiVersion": "batch/v1", "kind": "Job", "metadata": object{"name": jobName},
		"spec": object{"template": object{"spec": object{
			"restartPolicy":                "Never", // as podFailurePolicy wants it
			"enableServiceLinks":           false,
			"automountServiceAccountToken": false,
			"securityContext":              object{"runAsNonRoot": true, "seccompProfile": object{"type": "RuntimeDefault"}},
			"containers": []any{object{
				"name":                     trainerName,
				"image":                    e.Spec.Image,
				"terminationMessagePolicy": "FallbackToLogsOnError", // a run that failed says why
				"securityContext":          object{"allowPrivilegeEscalation": false, "capabilities": object{"drop": []any{"ALL"}}},
				"volumeMounts": []any{
					object{"name": "shm", "mountPath": "/dev/shm"},
					object{"name": "output", "mountPath": outputPath},
				},
			}},
			"volumes": []any{
				// The runtime's own is 64 MiB, too small for data loaders and NCCL. The container's memory limit bounds it.
				object{"name": "shm", "emptyDir": object{"medium": "Memory"}},
				object{"name": "output", "emptyDir": object{}},
			},
		}}},
	}
}

// service gives the pods of an indexed Job names before they are ready.
func (e *execution) service() object {
	return object{
		"apiVersion": "v1", "kind": "Service", "metadata": object{"name": jobName},
		"spec": object{
			"clusterIP":                "None",
			"publishNotReadyAddresses": true,
			"selector":                 object{runLabel: e.run},
			"ports":                    []any{object{"name": "master", "port": masterPort}},
		},
	}
}

// jobPatch is a strategic merge patch on the Job.
func jobPatch(name string, metadata, spec object) object {
	metadata["name"] = name
	return object{"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
}

// fields carries the Training's fields to the Job.
func (e *execution) fields() object {
	container := object{"name": trainerName, "env": e.env()}
	if len(e.Spec.Command) > 0 {
		container["command"] = e.Spec.Command
	}
	if args := e.arguments(); len(args) > 0 {
		container["args"] = args
	}
	if resources := quantities(e.Spec.Resources, e.Accelerator, e.Spec.GPUs); len(resources) > 0 {
		container["resources"] = resources
	}
	pod := object{"containers": []any{container}}
	claimed(e.Accelerator, e.Spec.GPUs, names{release: e.run}, container, pod)
	var volumes []any
	if size := e.Spec.Output; size != "" {
		volumes = append(volumes, object{"name": "output", "emptyDir": object{"sizeLimit": string(size)}})
	}
	if c := e.Spec.Checkpoints; c != nil && c.Claim != "" {
		volumes = append(volumes, object{"name": "checkpoints", "persistentVolumeClaim": object{"claimName": c.Claim}})
		container["volumeMounts"] = []any{object{"name": "checkpoints", "mountPath": claimPath(c), "subPath": e.run}}
		// The kubelet makes the run's folder as root, in the group that the volume has.
		pod["securityContext"] = object{"fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch"}
	}
	if len(volumes) > 0 {
		pod["volumes"] = volumes
	}
	template, metadata := object{"spec": pod}, object{}
	e.schedule(metadata, template, pod)
	spec := object{"template": template, "activeDeadlineSeconds": seconds(e.Spec.Deadline.Or(registry.DefaultDeadline))}
	e.failures(spec)
	return jobPatch(jobName, metadata, spec)
}

func seconds(d time.Duration) int64 { return int64(d.Seconds()) }

// schedule says who lets the run start, and where.
func (e *execution) schedule(metadata, template, pod object) {
	s := e.Spec
	if s.Queue == "" {
		if s.Priority != "" {
			pod["priorityClassName"] = s.Priority
		}
		return
	}
	queue := object{"kueue.x-k8s.io/queue-name": s.Queue}
	if s.Priority != "" {
		queue["kueue.x-k8s.io/priority-class"] = s.Priority
	}
	metadata["labels"] = queue
	switch {
	case s.Topology.Required != "":
		template["metadata"] = object{"annotations": object{"kueue.x-k8s.io/podset-required-topology": s.Topology.Required}}
	case s.Topology.Preferred != "":
		template["metadata"] = object{"annotations": object{"kueue.x-k8s.io/podset-preferred-topology": s.Topology.Preferred}}
	}
}

// failures says what a failed pod leads to. A pod that was disrupted (evicted, preempted, its node lost) may end
// with any code, so that the disruption is asked for first.
func (e *execution) failures(spec object) {
	disrupted := "Ignore"
	switch {
	case e.jobSet():
		// Any failure ends the Job: the JobSet begins all nodes anew, and tells by the Job's reason whether that counts.
		spec["backoffLimit"], disrupted = 0, "FailJob"
	case e.Indexed():
		// The failure of one node soon fails the others, so that an attempt costs each node one of its retries.
		spec["backoffLimitPerIndex"], spec["maxFailedIndexes"] = e.Spec.Retries, 0
	default:
		spec["backoffLimit"] = e.Spec.Retries
	}
	rules := []any{object{"action": disrupted, "onPodConditions": []any{object{"type": "DisruptionTarget", "status": "True"}}}}
	if codes := e.fatalExitCodes(); len(codes) > 0 {
		rules = append(rules, object{"action": "FailJob", "onExitCodes": object{"containerName": trainerName, "operator": "In", "values": codes}})
	}
	if e.Environment.Publishes() {
		rules = append(rules, e.publisherFailed())
	}
	spec["podFailurePolicy"] = object{"rules": rules}
	if !e.jobSet() {
		spec["ttlSecondsAfterFinished"] = seconds(e.Spec.TTL.Or(registry.DefaultTTL))
	}
}

// fatalExitCodes are ordered and each once, as a Job wants them.
func (e *execution) fatalExitCodes() []int {
	codes := slices.Sorted(slices.Values(e.FatalExitCodes()))
	return slices.Compact(codes)
}

// identity is the last patch on the Job: labels, images by digest, and what the nodes' numbers and names rest on.
func (e *execution) identity() object {
	container := object{"name": trainerName, "image": e.Spec.Image}
	pod := object{"restartPolicy": "Never", "containers": []any{container}}
	if secrets := pullSecrets(e.Environment); secrets != nil {
		pod["imagePullSecrets"] = secrets
	}
	if e.modelImage != "" {
		container["volumeMounts"] = []any{modelMount(nil)}
		pod["volumes"] = modelVolumes(e.Environment, e.modelImage)
		if !e.Environment.MountsImages() {
			pod["initContainers"] = []any{loader(e.Environment, e.modelImage, mountPath)}
		}
	}
	spec := object{"completions": e.Nodes(), "parallelism": e.Nodes(), "template": object{"metadata": object{"labels": e.labels()}, "spec": pod}}
	if e.Indexed() {
		spec["completionMode"] = "Indexed"
	}
	if e.needsService() {
		pod["subdomain"] = e.run
	}
	return jobPatch(e.run+"-"+jobName, object{}, spec)
}
