package render

import (
	"bytes"
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/davit-dev/davit/registry"
)

// arguments are the hyperparameters as flags, ordered.
func (e *execution) arguments() (args []any) {
	for _, key := range slices.Sorted(maps.Keys(e.Spec.Hyperparameters)) {
		args = append(args, flag(key, e.Spec.Hyperparameters[key].Arg))
	}
	return args
}

// env is what the trainer is told, davit's own and torchrun's variables before the Training's: those may refer to
// the first, as $(DAVIT_RUN), and stand in for the second.
func (e *execution) env() (out []any) {
	for _, v := range slices.Concat(e.told(), e.torchrun()) {
		if _, own := e.Spec.Env[v["name"].(string)]; !own {
			out = append(out, v)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Spec.Env)) {
		out = append(out, variable(name, e.Spec.Env[name]))
	}
	return out
}

func plainVariable(name, value string) object {
	return variable(name, registry.EnvVar{Value: value})
}

// told are davit's variables.
func (e *execution) told() []object {
	out := []object{
		plainVariable(runVariable, e.run),
		plainVariable("DAVIT_HYPERPARAMETERS", literal(e.hyperparameters())),
		plainVariable("DAVIT_OUTPUT", outputPath),
	}
	for _, d := range e.Datasets() {
		out = append(out, plainVariable(d.Variable(), dollars.Replace(d.URI)))
	}
	out = append(out, plainVariable("DAVIT_DATASETS", literal(e.datasets())))
	if e.Spec.Seed != nil {
		out = append(out, plainVariable("DAVIT_SEED", strconv.FormatInt(*e.Spec.Seed, 10)))
	}
	if e.modelImage != "" {
		out = append(out, plainVariable(modelPathVariable, mountPath+"/models"))
	}
	if c := e.Spec.Checkpoints; c != nil {
		out = append(out, plainVariable("DAVIT_CHECKPOINTS", dollars.Replace(e.checkpoints(c))))
	}
	return out
}

// hyperparameters is empty without any, not nil: that would be null.
func (e *execution) hyperparameters() map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for key, h := range e.Spec.Hyperparameters {
		out[key] = json.RawMessage(h.JSON)
	}
	return out
}

func (e *execution) datasets() []registry.RunDataset {
	out := []registry.RunDataset{}
	for _, d := range e.Datasets() {
		out = append(out, registry.RunDataset(d))
	}
	return out
}

// checkpoints is the run's own place. In a claim the folder is what is mounted, so that the path says nothing of it.
func (e *execution) checkpoints(c *registry.Checkpoints) string {
	if c.URI != "" {
		return strings.TrimSuffix(c.URI, "/") + "/" + e.run
	}
	return claimPath(c)
}

func claimPath(c *registry.Checkpoints) string {
	if c.Path == "" {
		return checkpointsPath
	}
	return path.Clean(c.Path)
}

// dollars keeps what is recorded from being expanded: Kubernetes reads $(NAME) in a value, and $$ as $.
var dollars = strings.NewReplacer("$", "$$")

// literal is v in JSON, as the trainer is to read it.
func literal(v any) string {
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	out.SetEscapeHTML(false)
	if err := out.Encode(v); err != nil { // of strings and sound JSON
		panic(err)
	}
	return dollars.Replace(strings.TrimSpace(text.String()))
}

// completionIndex is the field of a pod that holds its node's number.
const completionIndex = "metadata.annotations['batch.kubernetes.io/job-completion-index']"

// torchrun are the variables by which the nodes find each other: those that scripts read, and with PET_ those that
// torchrun takes for its flags. RANK and WORLD_SIZE are of processes, and torchrun's to set.
func (e *execution) torchrun() (out []object) {
	nodes, port := strconv.Itoa(e.Nodes()), strconv.Itoa(masterPort)
	rank := object{"name": "NODE_RANK", "value": "0", "valueFrom": nil}
	if e.Indexed() {
		field := object{"fieldRef": object{"fieldPath": completionIndex},
			"secretKeyRef": nil, "configMapKeyRef": nil, "resourceFieldRef": nil}
		rank = object{"name": "NODE_RANK", "value": nil, "valueFrom": field}
	}
	for _, prefix := range []string{"", "PET_"} {
		own := maps.Clone(rank)
		own["name"] = prefix + "NODE_RANK"
		out = append(out,
			plainVariable(prefix+"MASTER_ADDR", e.master()), plainVariable(prefix+"MASTER_PORT", port),
			plainVariable(prefix+"NNODES", nodes), own)
	}
	return append(out, plainVariable("PET_NPROC_PER_NODE", strconv.Itoa(max(e.Spec.GPUs, 1))))
}

// master is the first node's pod, by a name that holds from the moment it has an address.
func (e *execution) master() string {
	switch {
	case e.jobSet():
		return e.run + "-" + replicatedJob + "-0-0." + e.run
	case e.Indexed():
		return e.run + "-0." + e.run
	}
	return "127.0.0.1"
}
