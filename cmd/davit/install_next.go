package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/install"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// next says what a person does now: write a ModelRegistry, or grant it the environments that it does not have.
func (o *installOptions) next(ctx context.Context, target *cluster.Cluster, out io.Writer, places []room) error {
	fmt.Fprintf(out, "its web page: kubectl -n %s port-forward deploy/davit 8090, then http://localhost:8090\n", o.namespace)
	registries, err := target.Registries(ctx)
	if err != nil {
		return err
	}
	registries = slices.DeleteFunc(registries, func(mr v1alpha1.ModelRegistry) bool { return mr.Namespace != o.namespace })
	if len(registries) > 0 {
		o.ungranted(out, registries, places)
		return nil
	}
	if len(places) == 0 {
		fmt.Fprintf(out, "\nNext, prepare the namespace of each environment, with the flags of now and\n  --environment production=ml-production\n")
		places = []room{{"production", "ml-production"}}
	}
	fmt.Fprintf(out, "\nNext, say which repository to follow and where its environments may be:\n\nkubectl apply -f - <<'END'\n%sEND\n", o.example(places))
	fmt.Fprintf(out, "\nThen: kubectl -n %s get modelregistries\n", o.namespace)
	return nil
}

// example is a ModelRegistry to start from.
func (o *installOptions) example(places []room) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: %s\nkind: %s\nmetadata: {name: models, namespace: %s}\nspec:\n", v1alpha1.GroupVersion, v1alpha1.RegistryKind, o.namespace)
	b.WriteString("  url: https://git.example.com/ml/models.git\n  environments:\n")
	for _, p := range places {
		b.WriteString(o.granted(p))
	}
	return b.String()
}

// granted is one item of a ModelRegistry's environments.
func (o *installOptions) granted(p room) string {
	text := fmt.Sprintf("  - name: %s\n    namespaces: [%s]\n", p.environment, p.namespace)
	if install.Overlay(o.overlay).Impersonates() {
		text += fmt.Sprintf("    serviceAccount: {namespace: %s, name: %s}\n", p.namespace, install.Writer)
	}
	return text
}

// ungranted prints what is to be added to a ModelRegistry for the environments that none has.
func (o *installOptions) ungranted(out io.Writer, registries []v1alpha1.ModelRegistry, places []room) {
	for _, p := range places {
		has := slices.ContainsFunc(registries, func(mr v1alpha1.ModelRegistry) bool {
			return slices.ContainsFunc(mr.Spec.Environments, func(g v1alpha1.EnvironmentGrant) bool {
				return g.Name == p.environment && slices.Contains(g.Namespaces, p.namespace)
			})
		})
		if !has {
			fmt.Fprintf(out, "\nNext, grant it: kubectl -n %s edit modelregistry %s, and under environments:\n%s", o.namespace, registries[0].Name, o.granted(p))
		}
	}
}
