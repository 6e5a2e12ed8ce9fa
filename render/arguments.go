package render

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/davit-dev/davit/registry"
)

// modelPathVariable tells the server where the model's files are.
const modelPathVariable = "DAVIT_MODEL_PATH"

// Arguments are those the release's server is started with, ordered, as its objects have them.
func Arguments(r *registry.Release) []string {
	out := []string{}
	for _, arg := range arguments(r) {
		out = append(out, arg.(string))
	}
	return out
}

// Variables names the environment variables that davit gives the release's server, ordered.
func Variables(r *registry.Release) []string {
	all := variables(r)
	all[modelPathVariable] = registry.EnvVar{}
	return slices.Sorted(maps.Keys(all))
}

// arguments are the runtime's, those for the model's format and those for several nodes, with the Serving's over
// them, ordered: `--key=value`, or `--key` for true.
func arguments(r *registry.Release) (args []any) {
	spec := r.Runtime.Spec
	merged := map[string]registry.Arg{}
	for _, of := range []map[string]registry.Arg{spec.Args, spec.Formats[r.ModelVersion.Spec.Format].Args, multiNodeArgs(r)} {
		for key, arg := range of {
			if value, ok := expand(arg.Value, r); ok {
				merged[key] = registry.Arg{Value: value, True: arg.True}
			}
		}
	}
	maps.Copy(merged, r.Serving.Args)
	for _, key := range slices.Sorted(maps.Keys(merged)) {
		args = append(args, flag(key, merged[key]))
	}
	return args
}

func flag(key string, arg registry.Arg) string {
	if arg.True {
		return "--" + key
	}
	return "--" + key + "=" + arg.Value
}

func multiNodeArgs(r *registry.Release) map[string]registry.Arg {
	if !r.MultiNode() {
		return nil
	}
	return r.Runtime.Spec.MultiNode.Args
}

// variables are the runtime's and those for the model's format, with the Serving's over them.
func variables(r *registry.Release) map[string]registry.EnvVar {
	spec := r.Runtime.Spec
	merged := map[string]registry.EnvVar{}
	for _, of := range []map[string]registry.EnvVar{spec.Env, spec.Formats[r.ModelVersion.Spec.Format].Env} {
		for name, e := range of {
			if value, ok := expand(e.Value, r); ok {
				e.Value = value
				merged[name] = e
			}
		}
	}
	maps.Copy(merged, r.Serving.Env)
	return merged
}

// environment is the container's list of variables. It takes the other source away from a variable that the base
// has too: it may have one only.
func environment(r *registry.Release) []any {
	out := []any{object{"name": modelPathVariable, "value": modelPath(r), "valueFrom": nil}}
	all := variables(r)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name != modelPathVariable {
			out = append(out, variable(name, all[name]))
		}
	}
	return out
}

func variable(name string, e registry.EnvVar) object {
	if e.Secret == "" {
		return object{"name": name, "value": e.Value, "valueFrom": nil}
	}
	ref := object{"name": e.Secret, "key": e.Key}
	return object{"name": name, "value": nil, "valueFrom": object{
		"secretKeyRef": ref, "configMapKeyRef": nil, "fieldRef": nil, "resourceFieldRef": nil,
	}}
}

// placeholder is what a runtime's values may name of a release.
var placeholder = regexp.MustCompile(`\{(` + strings.Join(registry.Placeholders, "|") + `)\}`)

// expand fills placeholders in; false for a value that names what the release does not have.
func expand(value string, r *registry.Release) (string, bool) {
	complete := true
	out := placeholder.ReplaceAllStringFunc(value, func(name string) string {
		switch name {
		case "{model}":
			return r.Model.Name
		case "{release}":
			return r.Name
		case "{modelPath}":
			return modelPath(r)
		case "{port}":
			return strconv.Itoa(r.Runtime.Spec.Port)
		case "{gpus}":
			complete = complete && r.Serving.GPUs > 0
			return strconv.Itoa(r.Serving.GPUs)
		}
		complete = complete && r.MultiNode()
		return strconv.Itoa(r.Serving.Nodes)
	})
	return out, complete
}
