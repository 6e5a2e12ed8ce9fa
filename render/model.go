package render

import (
	"github.com/davit-dev/davit/registry"
)

// mountPath is where the model image is mounted; its files are below models/ there, since a subPath of
// an image volume needs containerd 2.2.
const mountPath = "/mnt/model"

// kserveMountPath brings the files to /mnt/models, where KServe's servers look for them.
const kserveMountPath = "/mnt"

func mountPoint(rt *registry.Runtime) string {
	if rt != nil && rt.Spec.Workload.Kind == inferenceService {
		return kserveMountPath
	}
	return mountPath
}

// modelPath is the folder in which the server sees the model's files.
func modelPath(r *registry.Release) string {
	if p := r.Runtime.Spec.ModelPath; p != "" {
		return p
	}
	return mountPoint(r.Runtime) + "/models"
}

// identity is the last patches on the workload: what the pods are labelled with, and which images they run and
// mount, by digest.
func identity(r *registry.Release, n names, modelImage string) []file {
	w := r.Runtime.Spec.Workload
	if w.Kind == inferenceService {
		labelled := object{"apiVersion": w.APIVersion, "kind": w.Kind, "metadata": object{"name": n.of(w.Name), "labels": workloadLabels(r, n)}}
		return []file{{"identity.yaml", labelled}}
	}
	spec := object{"template": object{"metadata": object{"labels": podLabels(r, n)}, "spec": podIdentity(r, modelImage)}}
	p := workloadPatch(r, n.of(w.Name), spec)
	p["metadata"].(object)["labels"] = workloadLabels(r, n)
	if !r.MultiNode() {
		return []file{{"identity.yaml", p}}
	}
	return []file{
		{"identity.yaml", p},
		{"worker.yaml", workloadPatch(r, n.of(r.Runtime.Spec.MultiNode.Worker), spec)},
		{"group.yaml", object{"apiVersion": group.APIVersion, "kind": group.Kind, "metadata": object{"name": n.of(w.Name), "labels": workloadLabels(r, n)}}},
	}
}

func podIdentity(r *registry.Release, modelImage string) object {
	pod := object{
		"containers": []any{object{
			"name":         r.Runtime.Spec.Container,
			"image":        r.Runtime.Spec.Image,
			"volumeMounts": []any{modelMount(r.Runtime)},
		}},
		"volumes": modelVolumes(r.Environment, modelImage),
	}
	if secrets := pullSecrets(r.Environment); secrets != nil {
		pod["imagePullSecrets"] = secrets
	}
	if !r.Environment.MountsImages() {
		pod["initContainers"] = []any{loader(r.Environment, modelImage, mountPath)}
	}
	return pod
}

// pullSecrets are what a pod's images are pulled with; the list merges by name with what is below it. Nil for none, so
// that pods stay as they are where there is none.
func pullSecrets(env *registry.Environment) (out []any) {
	for _, name := range env.PullSecrets() {
		out = append(out, object{"name": name})
	}
	return out
}

// modelMount is for a runtime's server; nil stands for a trainer.
func modelMount(rt *registry.Runtime) object {
	return object{"name": "model", "mountPath": mountPoint(rt), "readOnly": true}
}

// modelVolumes are the volume with the model's files, and the loader's credentials where it needs them.
func modelVolumes(env *registry.Environment, image string) []any {
	if env.MountsImages() {
		return []any{object{"name": "model", "image": object{"reference": image, "pullPolicy": "IfNotPresent"}}}
	}
	volumes := []any{object{"name": "model", "emptyDir": object{}}}
	if secret := env.Spec.ModelLoader.PullSecret; secret != "" {
		volumes = append(volumes, credentials(loaderName, secret))
	}
	return volumes
}

const (
	loaderName = "model-loader"
	// credentialsPath is where davit's own containers find what they may ask an OCI registry with.
	credentialsPath = "/docker"
)

// credentials is a volume with a Secret of type kubernetes.io/dockerconfigjson, as Docker's own file.
func credentials(name, secret string) object {
	items := []any{object{"key": ".dockerconfigjson", "path": "config.json"}}
	return object{"name": name, "secret": object{"secretName": secret, "items": items}}
}

// confined is the security of davit's own containers.
func confined() object {
	return object{"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": object{"drop": []any{"ALL"}}}
}

// loader copies the model image's files where pods can't mount it.
func loader(env *registry.Environment, image, to string) object {
	mounts := []any{object{"name": "model", "mountPath": to}}
	container := object{
		"name":            loaderName,
		"image":           env.Spec.ModelLoader.Image,
		"args":            []any{"pull", image, to},
		"securityContext": confined(),
	}
	if env.Spec.ModelLoader.PullSecret != "" {
		mounts = append(mounts, object{"name": loaderName, "mountPath": credentialsPath, "readOnly": true})
		container["env"] = []any{object{"name": "DOCKER_CONFIG", "value": credentialsPath}}
	}
	container["volumeMounts"] = mounts
	return container
}
