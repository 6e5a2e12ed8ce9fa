package why

import "strings"

// owned tells what davit sets by itself, by the beginning or the end of a field's path. The first that fits counts.
var owned = []struct{ prefix, suffix, why string }{
	{"metadata.namespace", "", "objects are in the environment's namespace, which is its name when environment.yaml names none"},
	{"metadata.name", "", "objects bear the release's name, which is its folder's"},
	{"", "[davit.dev/version]", "the version that the release is at"},
	{"", "[davit.dev/rollout]", "where each revision has a workload of its own, the hash of its objects"},
	{"metadata.labels", "", "labels by which the release's objects are found"},
	{"spec.template.metadata.labels", "", "labels by which the release's pods are found"},
	{"spec.selector", "", "the release's label, so that it never changes"},
	{"spec.strategy", "", "how pods replace one another: by rollout.strategy, inPlace when no file names one"},
	{"spec.progressDeadlineSeconds", "", "a minute more than rollout.startupTimeout, which is 10m when no file says"},
	{"", "startupProbe.failureThreshold", "as often as rollout.startupTimeout has room for, which is 10m when no file says"},
	{"", "volumes.model", "the model image, by digest"},
	{"", "volumeMounts.model", "where the model image is mounted"},
	{"", "initContainers.model-loader", "brings the model's files where Kubernetes can't mount an image"},
	{"", "env.DAVIT_MODEL_PATH", "where the server finds the model's files"},
	{"spec.replicas", "", "one, as Kubernetes has it when no file says"},
}

// own says what a field is that no file says.
func own(field Path) string {
	at := field.String()
	for _, o := range owned {
		if strings.HasPrefix(at, o.prefix) && (o.suffix == "" || strings.Contains(at, o.suffix)) {
			return o.why
		}
	}
	return "no file of the release says it"
}
