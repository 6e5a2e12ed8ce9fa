package status

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

var otherRelease = regexp.MustCompile(`depends on ([^ ,]+),`)

// commands fills in what a remedy's commands leave open. What davit sync does by a flag a ModelRegistry has in its spec.
func (s situation) commands(mr *v1alpha1.ModelRelease, templates []string) (out []string) {
	accept, grant := "davit sync --accept-rewrite", "davit sync"
	namespace, name := "", ""
	if s.registry != nil {
		namespace, name = s.registry.Namespace, s.registry.Name
		accept = fmt.Sprintf(`kubectl -n %s patch modelregistry %s --type merge -p '{"spec":{"acceptRewrite":"%s"}}'`, namespace, name, cmp.Or(s.tip, "COMMIT"))
		grant = fmt.Sprintf("kubectl -n %s edit modelregistry %s", namespace, name)
	}
	other := mr.Spec.Environment
	if m := otherRelease.FindStringSubmatch(mr.Status.Message); m != nil {
		other = m[1]
	}
	version := mr.Status.Applied.Version
	if mr.Pending() && mr.Spec.Claim.Version != "" {
		version = mr.Spec.Claim.Version
	}
	if held := mr.Status.Held; held != nil {
		version = held.Version
	}
	model := ""
	if repository, _, ok := strings.Cut(mr.Status.Applied.Image, "@"); ok {
		model = path.Base(repository) + "@" + version
	}
	fill := strings.NewReplacer("{accept}", accept, "{grant}", grant, "{release}", releaseOf(mr), "{name}", mr.Spec.Release,
		"{environment}", mr.Spec.Environment, "{namespace}", mr.Namespace, "{other}", other, "{model}", model, "{registry}", namespace, "{registryName}", name)
	for _, t := range templates {
		if s.registry != nil && strings.HasPrefix(t, "davit sync --adopt") {
			continue // nothing that a ModelRegistry can say
		}
		out = append(out, strings.Join(strings.Fields(fill.Replace(t)), " "))
	}
	return out
}
