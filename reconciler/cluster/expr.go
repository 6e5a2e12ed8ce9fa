package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// HealthExpr judges the objects of one kind by CEL expressions over the variable object, in the form Flux's
// healthCheckExprs have. They are asked in the order InProgress, Failed, Current, the first that is true
// decides, and with none true the object is progressing. Empty ones are passed over. object has metadata (name,
// namespace, labels, generation), status, and spec where davit has no judgement of its own.
type HealthExpr struct {
	APIVersion, Kind            string
	Current, InProgress, Failed string
}

func exprFor(exprs []HealthExpr, kind schema.GroupKind) *HealthExpr {
	for i, e := range exprs {
		if schema.FromAPIVersionAndKind(e.APIVersion, e.Kind).GroupKind() == kind {
			return &exprs[i]
		}
	}
	return nil
}

// exprCost bounds one evaluation as Kubernetes bounds one of its own (PerCallLimit), about 0.1 s.
const exprCost = 1_000_000

// exprsKept bounds the compiled expressions; beyond it they are compiled anew.
const exprsKept = 1000

// expressions compiles each once. The zero value is ready, and may be used concurrently.
type expressions struct {
	mu       sync.Mutex
	env      *cel.Env
	compiled map[string]program
}

type program struct {
	cel.Program
	err error
}

func (e *expressions) program(text string) program {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p, ok := e.compiled[text]; ok {
		return p
	}
	if e.compiled == nil || len(e.compiled) >= exprsKept {
		e.compiled = map[string]program{}
	}
	p := program{}
	p.Program, p.err = e.compile(text)
	e.compiled[text] = p
	return p
}

// compile needs e.mu.
func (e *expressions) compile(text string) (cel.Program, error) {
	if e.env == nil {
		env, err := cel.NewEnv(cel.Variable("object", cel.DynType), cel.OptionalTypes(), ext.Strings(), ext.Lists())
		if err != nil {
			return nil, err
		}
		e.env = env
	}
	ast, issues := e.env.Compile(text)
	if issues.Err() != nil {
		return nil, issues.Err()
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("it gives a %s, and not true or false", t)
	}
	return e.env.Program(ast, cel.CostLimit(exprCost), cel.InterruptCheckFrequency(100))
}

// judge asks an expression about an object. One that can't be answered is Waiting, with the expression.
func (e *expressions) judge(ctx context.Context, ref v1alpha1.ObjectRef, expr HealthExpr, t *tracked) Health {
	object, err := t.object(ref)
	if err != nil {
		return Health{State: Waiting, Reason: "Unreadable", Message: fmt.Sprintf("%s: %v", ref, err)}
	}
	for _, q := range []struct {
		name, text string
		answer     Health
	}{
		{"inProgress", expr.InProgress, progressing("InProgress", "%s is in progress by its health expression", ref)},
		{"failed", expr.Failed, Health{State: Failed, Reason: "HealthExpr", Message: fmt.Sprintf("%s has failed by its health expression", ref)}},
		{"current", expr.Current, Health{State: Ready}},
	} {
		if q.text == "" {
			continue
		}
		yes, err := e.ask(ctx, q.text, object)
		if err != nil {
			return Health{State: Waiting, Reason: "HealthExprFailed", Message: fmt.Sprintf("health expression %s %q of %s: %v", q.name, q.text, ref, err)}
		}
		if yes {
			return q.answer
		}
	}
	return progressing("NotCurrent", "%s is not current by its health expression", ref)
}

func (e *expressions) ask(ctx context.Context, text string, object map[string]any) (bool, error) {
	p := e.program(text)
	if p.err != nil {
		return false, p.err
	}
	value, _, err := p.ContextEval(ctx, map[string]any{"object": object})
	if err != nil {
		return false, err
	}
	yes, ok := value.Value().(bool)
	if !ok {
		return false, fmt.Errorf("it gives a %s, and not true or false", value.Type())
	}
	return yes, nil
}

// object is t as expressions see it.
func (t *tracked) object(ref v1alpha1.ObjectRef) (map[string]any, error) {
	o := map[string]any{
		"apiVersion": ref.GroupVersionKind().GroupVersion().String(), "kind": ref.Kind,
		"metadata": map[string]any{"name": t.name, "namespace": t.namespace, "generation": t.generation},
	}
	var body []byte
	switch kept := t.health.(type) {
	case nil:
		return o, nil
	case []byte:
		body = kept
	case *workload:
		var err error
		if body, err = json.Marshal(map[string]any{"spec": map[string]any{"replicas": kept.replicas}, "status": kept.status}); err != nil {
			return nil, err
		}
	}
	err := utiljson.Unmarshal(body, &o) // whole numbers stay whole
	return o, err
}
