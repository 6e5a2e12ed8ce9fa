package status

import (
	"fmt"
	"strings"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

func releaseOf(mr *v1alpha1.ModelRelease) string { return mr.Spec.Environment + "/" + mr.Spec.Release }

// sentences joins what is not empty; each begins large and ends with a full stop.
func sentences(parts ...string) string {
	var out []string
	for _, p := range parts {
		if p = strings.Join(strings.Fields(p), " "); p == "" {
			continue
		}
		if !strings.ContainsAny(p[len(p)-1:], ".!?:;") {
			p += "."
		}
		out = append(out, p)
	}
	return strings.Join(out, " ")
}

func short(hash string) string { return hash[:min(len(hash), 12)] }

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
