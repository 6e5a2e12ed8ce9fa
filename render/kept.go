package render

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/davit-dev/davit/registry"
)

// kept is what a container and its pod have below the Components, and must have above them: a patch's list takes
// the place of the one below it, in more spellings than could be refused one by one.
type kept struct {
	args, tolerations            []any
	variables, volumes, mounts   []string
	device, claim, file, subject string
}

// keptOf is what a release's server must have.
func keptOf(r *registry.Release, base *server, args []any) kept {
	k := kept{
		args: append(slices.Clone(base.args), args...), tolerations: base.tolerations, file: r.Path, subject: "serving.yaml",
		variables: append(namesOf(base.env), namesOf(environment(r))...), volumes: namesOf(base.volumes), mounts: namesOf(base.mounts),
		claim: claimOf(r.Accelerator, r.Serving.GPUs),
	}
	if r.Accelerator != nil && r.Serving.GPUs > 0 {
		k.device = r.Accelerator.Spec.Resource
	}
	return k
}

// namesOf are the names of a list's entries.
func namesOf(list []any) (out []string) {
	for _, e := range list {
		if o, ok := e.(object); ok {
			if name, ok := o["name"].(string); ok {
				out = append(out, name)
			}
		}
	}
	return out
}

func (k kept) check(pod, container object) error {
	lost := func(format string, args ...any) error {
		return fmt.Errorf("%s:1: a Component took %s away: a list in a patch replaces the one below it; add single entries by JSON6902 (op: add, path: …/-), and write arguments, variables and resources in %s",
			k.file, fmt.Sprintf(format, args...), k.subject)
	}
	have, _ := container["args"].([]any)
	for _, arg := range k.args {
		if !slices.ContainsFunc(have, func(h any) bool { return reflect.DeepEqual(h, arg) }) {
			return lost("the argument %v", arg)
		}
	}
	for _, list := range []struct {
		what, field string
		of          object
		names       []string
	}{{"variable", "env", container, k.variables}, {"mount", "volumeMounts", container, k.mounts}, {"volume", "volumes", pod, k.volumes}} {
		for _, name := range list.names {
			if named(list.of[list.field], name) == nil {
				return lost("the %s %s", list.what, name)
			}
		}
	}
	tolerations, _ := pod["tolerations"].([]any)
	for _, t := range k.tolerations {
		if !slices.ContainsFunc(tolerations, func(h any) bool { return reflect.DeepEqual(h, t) }) {
			return lost("the toleration %s", text(t))
		}
	}
	resources, _ := container["resources"].(object)
	limits, _ := resources["limits"].(object)
	if k.device != "" && limits[k.device] == nil || k.claim != "" && named(resources["claims"], k.claim) == nil {
		return lost("the GPUs")
	}
	return nil
}
