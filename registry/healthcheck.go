package registry

import (
	"strconv"
	"strings"

	"github.com/google/cel-go/cel"
)

// HealthCheck tells by CEL expressions over the variable "object" how objects of one kind are: the first
// of Failed, InProgress and Current that is true says it, and none of them means in progress.
type HealthCheck struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	// Current is true when the object is healthy. It is never empty; the other two may be.
	Current    string `yaml:"current"`
	InProgress string `yaml:"inProgress"`
	Failed     string `yaml:"failed"`
}

// HealthEnv is the language of a [HealthCheck]: CEL with its standard library, the variable "object" of
// dynamic type. Each expression of a sound registry compiles in it, to a boolean or a dynamic type. Making it costs
// milliseconds; it is safe for concurrent use.
func HealthEnv() (*cel.Env, error) {
	return cel.NewEnv(cel.Variable("object", cel.DynType))
}

func checkHealth(f *faultsOf, checks []HealthCheck) {
	if len(checks) == 0 {
		return
	}
	env, err := HealthEnv()
	if err != nil {
		f.add([]string{"healthCheckExprs"}, "healthCheckExprs can't be read: %v", err)
		return
	}
	seen := map[[2]string]bool{}
	for i, c := range checks {
		field := []string{"healthCheckExprs", strconv.Itoa(i)}
		if c.APIVersion == "" || c.Kind == "" {
			f.add(field, "a health check needs the apiVersion and kind of the objects it is about")
		}
		if id := [2]string{c.APIVersion, c.Kind}; seen[id] {
			f.add(field, "%s %s has two health checks; join them with ||", c.APIVersion, c.Kind)
		} else {
			seen[id] = true
		}
		if c.Current == "" {
			f.add(field, "current is missing; write when the object is healthy, such as object.status.phase == 'Ready'")
		}
		for name, source := range map[string]string{"current": c.Current, "inProgress": c.InProgress, "failed": c.Failed} {
			if text := celFault(env, source); text != "" {
				f.add(append(field[:2:2], name), "%s: %s", name, text)
			}
		}
	}
}

// celFault is what is wrong with an expression, or "".
func celFault(env *cel.Env, source string) string {
	if source == "" {
		return ""
	}
	ast, issues := env.Compile(source)
	if err := issues.Err(); err != nil {
		var all []string
		for _, e := range issues.Errors() {
			all = append(all, e.Message)
		}
		return "not CEL over the variable object: " + strings.Join(all, "; ")
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return "gives " + t.String() + ", not true or false"
	}
	return ""
}
