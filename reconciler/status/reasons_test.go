package status

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// TestEveryReasonIsExplained finds the reasons in the reconciler's source, and wants words and, where a person is needed, a
// command for each in every phase that it can have.
func TestEveryReasonIsExplained(t *testing.T) {
	reasons := reasonsIn(t, "..", "../cluster")
	if len(reasons) < 40 {
		t.Fatalf("only %d reasons found: %v", len(reasons), reasons)
	}
	for reason, where := range reasons {
		_, waits := waiting[reason]
		_, fails := inside[reason]
		_, goes := underway[reason]
		if !waits && !fails && !goes && reason != string(v1alpha1.Healthy) && reason != string(v1alpha1.RolledBack) {
			t.Errorf("%s: nobody has words for the reason %s; add it to remedies.go", where, reason)
		}
	}
	for _, table := range []map[string]remedy{waiting, inside, underway} {
		for reason, r := range table {
			if r.means == "" || r.person && len(r.do) == 0 {
				t.Errorf("%s has no words or no command: %+v", reason, r)
			}
		}
	}
	for _, phase := range []v1alpha1.Phase{v1alpha1.Progressing, v1alpha1.Waiting, v1alpha1.Failed, v1alpha1.Held} {
		if r := remedyFor(phase, "NobodyKnows"); r.means == "" {
			t.Errorf("a reason of Kubernetes' own has no words in the phase %s", phase)
		}
		for reason := range reasons {
			mr := modelRelease(phase, reason, "")
			if phase == v1alpha1.Failed || phase == v1alpha1.Held {
				held(mr, reason)
			}
			all := findings(mr, situation{})
			if len(all) == 0 || all[0].Text == "" {
				t.Errorf("%s, %s has no explanation", phase, reason)
			}
			for _, f := range all {
				for _, command := range f.Do {
					if strings.ContainsAny(command, "{}") {
						t.Errorf("%s, %s: a command is left open: %s", phase, reason, command)
					}
				}
			}
		}
	}
}

// reasonsIn finds reasons by how they are written: the argument of what waits, fails, or sets a phase, or a field or
// variable called reason.
func reasonsIn(t *testing.T, dirs ...string) map[string]string {
	found := map[string]string{}
	for _, dir := range dirs {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			ofRegistries := []string{"controller.go", "pullsecrets.go"}
			if strings.HasSuffix(name, "_test.go") || slices.Contains(ofRegistries, filepath.Base(name)) {
				continue
			}
			source, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, source, 0)
			if err != nil {
				t.Fatal(err)
			}
			word := func(e ast.Expr) {
				if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if text, err := strconv.Unquote(lit.Value); err == nil && text != "" && text[0] >= 'A' && text[0] <= 'Z' && !strings.Contains(text, " ") {
						found[text] = name
					}
				}
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					callee := ""
					switch f := n.Fun.(type) {
					case *ast.SelectorExpr:
						callee = f.Sel.Name
					case *ast.Ident:
						callee = f.Name
					}
					switch {
					case callee == "wait" && len(n.Args) > 3, callee == "fail" && len(n.Args) > 3:
						word(n.Args[3])
					case callee == "phase" && len(n.Args) > 1:
						word(n.Args[1])
					case callee == "progressing":
						word(n.Args[0])
					}
				case *ast.KeyValueExpr:
					if key, ok := n.Key.(*ast.Ident); ok && strings.EqualFold(key.Name, "reason") {
						word(n.Value)
					}
				case *ast.AssignStmt:
					for i, left := range n.Lhs {
						name := ""
						switch left := left.(type) {
						case *ast.Ident:
							name = left.Name
						case *ast.SelectorExpr:
							if x, ok := left.X.(*ast.Ident); ok && x.Name == "h" {
								name = left.Sel.Name
							}
						}
						if strings.EqualFold(name, "reason") && len(n.Lhs) == len(n.Rhs) {
							word(n.Rhs[i])
						}
					}
				case *ast.ValueSpec:
					for i, left := range n.Names {
						if strings.HasPrefix(left.Name, "Reason") && i < len(n.Values) {
							word(n.Values[i])
						}
					}
				}
				return true
			})
		}
	}
	return found
}
