package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render"
)

// applier is who writes an environment's objects.
type applier struct {
	name string // as people call it
	rest.ImpersonationConfig
}

// appliersOf are who writes to an environment by the ModelRegistries that grant it, the kubeconfig's user where none does.
// A grant without a service account has the controller write itself, as its own one of accounts, by namespace. elsewhere
// says that it is granted in another cluster.
func appliersOf(environment string, registries []v1alpha1.ModelRegistry, accounts map[string]string) (all []applier, elsewhere bool) {
	for _, mr := range registries {
		for _, g := range mr.Spec.Environments {
			if g.Name != environment {
				continue
			}
			if g.Cluster != nil {
				return nil, true
			}
			sa := g.ServiceAccount
			if sa == nil && accounts[mr.Namespace] != "" {
				sa = &v1alpha1.ServiceAccount{Namespace: mr.Namespace, Name: accounts[mr.Namespace]}
			}
			if sa != nil {
				all = append(all, applier{"service account " + sa.Namespace + "/" + sa.Name, cluster.ServiceAccount(sa.Namespace, sa.Name)})
			}
		}
	}
	if len(all) == 0 {
		all = append(all, applier{name: "you"})
	}
	return all, false
}

// mostRendered bounds how many of an environment's releases are rendered to learn which kinds it has.
const mostRendered = 100

// kindsOf are those of an environment's releases, as far as they render.
func kindsOf(models *registry.Registry, env *registry.Environment) []schema.GroupVersionKind {
	var renderer render.Renderer
	kinds := map[schema.GroupVersionKind]bool{}
	n := 0
	for _, r := range models.Releases {
		if r.Environment != env {
			continue
		}
		if n++; n > mostRendered {
			break
		}
		out, err := renderer.Release(models.FS(), r, image.Placeholder(r.Repository()))
		if err != nil {
			continue // davit plan tells
		}
		for _, o := range out.Objects {
			kinds[o.GroupVersionKind()] = true
		}
	}
	return slices.SortedFunc(maps.Keys(kinds), func(a, b schema.GroupVersionKind) int { return strings.Compare(a.String(), b.String()) })
}

// rights asks whether an applier may do what applying the environment's releases takes.
func (e *examination) rights(ctx context.Context, target *cluster.Cluster, env *registry.Environment, who applier) {
	check := "environment " + env.Name
	namespace := env.Spec.Namespace
	var asked []cluster.Access
	ask := func(resource string, verbs ...string) {
		for _, verb := range verbs {
			asked = append(asked, cluster.Access{Who: who.UserName, Groups: who.Groups, Namespace: namespace, Verb: verb, Resource: resource})
		}
	}
	for _, kind := range kindsOf(e.models, env) {
		resource, err := target.ResourceOf(kind)
		if err != nil {
			e.say(failed, check, fmt.Sprintf("its releases have a %s, and the cluster does not know it", kind.GroupKind()), "install its CRD, or declare the capability only where it is installed")
			continue
		}
		ask(resource, "get", "create", "patch", "delete")
		if who.UserName == "" { // nobody else watches
			ask(resource, "list", "watch")
		}
	}
	ask("pods/log", "get")
	if slices.ContainsFunc(e.models.Releases, func(r *registry.Release) bool { return r.Environment == env && r.Serving.SmokeTest != nil }) {
		ask("services/proxy", "get", "create")
	}
	if who.UserName == "" {
		ask("pods", "list", "watch")
		ask("modelreleases.davit.dev", "get", "list", "watch", "create", "patch", "delete")
		ask("modelreleases/status.davit.dev", "update")
		ask("events", "create")
	}
	var lacks []string
	for _, a := range asked {
		may, err := target.May(ctx, a)
		if err != nil {
			e.say(warn, check, oneLine(err), "who may create subjectaccessreviews learns what others may")
			return
		}
		if !may {
			lacks = append(lacks, a.Verb+" "+a.Resource)
		}
	}
	if len(lacks) > 0 {
		e.say(failed, check, fmt.Sprintf("%s may not %s in namespace %s", who.name, firstOf(lacks), namespace), "a Role there that allows it, and a RoleBinding to "+who.name)
		return
	}
	e.say(fine, check, fmt.Sprintf("%s may do what its releases need in namespace %s", who.name, namespace), "")
}

// nodes checks that pods can mount model images there.
func (e *examination) nodes(ctx context.Context, target *cluster.Cluster) {
	nodes, err := target.Nodes(ctx)
	if err != nil {
		e.say(warn, "nodes", oneLine(err), "who may list nodes learns whether they mount images")
		return
	}
	var old []string
	for _, n := range nodes {
		if runtime := n.Status.NodeInfo.ContainerRuntimeVersion; !mounts(runtime) {
			old = append(old, n.Name+" ("+runtime+")")
		}
	}
	switch {
	case len(nodes) == 0:
		e.say(warn, "nodes", "there is none", "pods wait for one")
	case len(old) > 0:
		e.say(failed, "nodes", "can't mount model images as volumes: "+firstOf(old), "containerd 2.1 or CRI-O 1.31, or newer; or keep releases off them")
	default:
		e.say(fine, "nodes", counted(len(nodes), "node")+", each with a container runtime that mounts images", "")
	}
}

// mounts says whether a container runtime, "containerd://2.1.0", knows image volumes (KEP-4639). One that is not known is
// believed to.
func mounts(runtime string) bool {
	name, version, _ := strings.Cut(runtime, "://")
	least := map[string][2]int{"containerd": {2, 1}, "cri-o": {1, 31}}[name]
	major, rest, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	if err1 != nil || err2 != nil {
		return true
	}
	return a > least[0] || a == least[0] && b >= least[1]
}
