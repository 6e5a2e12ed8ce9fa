package render

import (
	"fmt"
	"path"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/registry"
)

const publisherName = "publisher"

// published are the operations that make the trainer the last of the job's init containers, and the publisher its only
// container: a pod has no other way to run one when another has ended well. They come after all Components, which
// know the trainer as a container.
func (e *execution) published(job *unstructured.Unstructured) patch {
	const spec = "/spec/template/spec"
	pod := fieldOf(job, "spec", "template", "spec")
	var ops []object
	if before, _ := pod["initContainers"].([]any); len(before) == 0 {
		ops = append(ops, object{"op": "add", "path": spec + "/initContainers", "value": []any{}})
	}
	// It is the only one: checkPublished has seen to it.
	ops = append(ops,
		object{"op": "move", "from": spec + "/containers/0", "path": spec + "/initContainers/-"},
		object{"op": "add", "path": spec + "/containers/-", "value": e.publisher(named(pod["containers"], trainerName))})
	if secret := e.Environment.Spec.Publisher.PushSecret; secret != "" {
		ops = append(ops, object{"op": "add", "path": spec + "/volumes/-", "value": credentials(publisherName, secret)})
	}
	return patch{Target: exactly("Job", e.run), Patch: operations(ops...)}
}

// publisher is davit's container. Its memory has no limit: to end it for some bytes more would have the run train again.
func (e *execution) publisher(trainer object) object {
	mounts := []any{object{"name": "output", "mountPath": outputPath, "readOnly": true}}
	env := []any{
		object{"name": registry.PublishVariable, "value": literal(e.runSpec())},
		object{"name": "DAVIT_OUTPUT", "value": outputPath},
		e.rank(),
	}
	if e.Environment.Spec.Publisher.PushSecret != "" {
		mounts = append(mounts, object{"name": publisherName, "mountPath": credentialsPath, "readOnly": true})
		env = append(env, object{"name": "DOCKER_CONFIG", "value": credentialsPath})
	}
	return object{
		"name":                     publisherName,
		"image":                    e.Environment.Spec.Publisher.Image,
		"args":                     []any{"publish-run"},
		"env":                      env,
		"resources":                object{"requests": object{"cpu": "100m", "memory": "128Mi"}},
		"securityContext":          sameUser(trainer),
		"terminationMessagePolicy": "File", // what is read there is the publisher's own, and no log
		"volumeMounts":             mounts,
	}
}

// rank is a node's number; the first one publishes.
func (e *execution) rank() object {
	if e.Indexed() {
		return object{"name": "NODE_RANK", "valueFrom": object{"fieldRef": object{"fieldPath": completionIndex}}}
	}
	return object{"name": "NODE_RANK", "value": "0"}
}

// sameUser is the loader's security, as the user that a Component has the trainer run as: it can read what that wrote.
func sameUser(trainer object) object {
	out := confined()
	of, _ := trainer["securityContext"].(object)
	for _, field := range []string{"runAsUser", "runAsGroup", "runAsNonRoot", "seLinuxOptions"} {
		if v, ok := of[field]; ok {
			out[field] = v
		}
	}
	return out
}

// runSpec is what the publisher is told.
func (e *execution) runSpec() registry.RunSpec {
	s := e.Spec
	out := registry.RunSpec{
		Repository: e.Images + "/" + e.Model, Model: e.Model, Training: e.Key(), Run: e.run, Hash: e.hash,
		Image: s.Image, Datasets: e.datasets(), Hyperparameters: e.hyperparameters(), Seed: s.Seed,
	}
	if e.BaseVersion != nil {
		out.BaseVersion = e.BaseVersion.String()
	}
	return out
}

// publisherFailed is what a failed publisher leads to, beyond a retry. Of an indexed Job only the first node would be
// tried again, and wait there for the others, which have ended.
func (e *execution) publisherFailed() object {
	codes := object{"containerName": publisherName, "operator": "In", "values": []any{registry.NotAModel}}
	if e.Indexed() && !e.jobSet() {
		codes["operator"], codes["values"] = "NotIn", []any{0}
	}
	return object{"action": "FailJob", "onExitCodes": codes}
}

// checkPublished refuses what could not be once the trainer is an init container, or what would leave the publisher
// without the trainer's files.
func (e *execution) checkPublished(pod object) error {
	refused := func(format string, args ...any) error {
		return fmt.Errorf("%s:1: a Component %s", e.Path, fmt.Sprintf(format, args...))
	}
	for _, list := range []string{"containers", "initContainers", "volumes"} {
		if named(pod[list], publisherName) != nil {
			return refused("adds %q to %s, which is davit's own name where %s names a publisher; give its own another name", publisherName, list, e.Environment.Path)
		}
	}
	containers, _ := pod["containers"].([]any)
	trainer := named(containers, trainerName)
	at := slices.IndexFunc(containers, func(c any) bool { return reflect.DeepEqual(c, trainer) })
	if others := slices.Delete(slices.Clone(containers), at, at+1); len(others) > 0 {
		other, _ := others[0].(object)
		return refused("adds container %q, which would start only when the trainer has ended, since %s names a publisher; add it to initContainers with restartPolicy: Always, as a sidecar",
			other["name"], e.Environment.Path)
	}
	for _, field := range []string{"lifecycle", "livenessProbe", "readinessProbe", "restartPolicy", "restartPolicyRules", "startupProbe"} {
		if _, ok := trainer[field]; ok {
			return refused("sets %s of container %q, which runs to its end before the publisher that %s names; remove it", field, trainerName, e.Environment.Path)
		}
	}
	mounts, _ := trainer["volumeMounts"].([]any)
	if !slices.ContainsFunc(mounts, func(m any) bool { return reflect.DeepEqual(m, object{"name": "output", "mountPath": outputPath}) }) ||
		slices.ContainsFunc(mounts, hides) {
		return refused("changes what the trainer has at %s, where the publisher looks for the model's files; mount it elsewhere", outputPath)
	}
	return nil
}

// hides says whether a mount lies over the output, or over part of it.
func hides(mount any) bool {
	m, _ := mount.(object)
	at, _ := m["mountPath"].(string)
	return m["name"] != "output" && below(path.Clean(at), outputPath)
}
