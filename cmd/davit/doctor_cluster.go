package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// Clocks further apart than these are worth a word, and a fault: freezes, soaks and deadlines go by the controller's
// clock, and tokens of forges and clouds are refused by servers whose clock differs by minutes.
const (
	skewTold = 5 * time.Second
	skewBad  = time.Minute
)

// cluster checks the kubeconfig's cluster, and each environment in it.
func (e *examination) cluster(ctx context.Context) {
	target, err := e.app.cluster(ctx)
	if err != nil {
		e.say(failed, "cluster", oneLine(err), "--kubeconfig and --context name a cluster")
		return
	}
	apis, err := target.APIs(ctx)
	if err != nil {
		e.say(failed, "cluster", oneLine(err), "kubectl version asks the same server")
		return
	}
	e.say(fine, "cluster", "Kubernetes "+apis.Kubernetes, "")
	e.clock(ctx, target)
	e.nodes(ctx, target)
	if !e.crds(ctx, target) {
		return
	}
	registries, err := target.Registries(ctx)
	if err != nil {
		e.say(warn, "controller", oneLine(err), "who may list modelregistries sees how they are followed")
	}
	e.controllers(ctx, target, registries)
	e.environments(ctx, target, apis, registries)
}

func (e *examination) clock(ctx context.Context, target *cluster.Cluster) {
	skew, err := target.Clock(ctx)
	text := fmt.Sprintf("the API server's is %s ahead of this machine's", skew)
	if skew < 0 {
		text = fmt.Sprintf("the API server's is %s behind this machine's", -skew)
	}
	const remedy = "have both take their time from the same source (NTP)"
	switch {
	case err != nil:
		e.say(warn, "clock", oneLine(err), "")
	case skew.Abs() > skewBad:
		e.say(failed, "clock", text, remedy)
	case skew.Abs() > skewTold:
		e.say(warn, "clock", text, remedy)
	default:
		e.say(fine, "clock", "agrees with the API server's", "")
	}
}

// crds says whether the rest can be asked for.
func (e *examination) crds(ctx context.Context, target *cluster.Cluster) bool {
	all, err := target.CRDs(ctx)
	if err != nil {
		e.say(failed, "CRDs", oneLine(err), "")
		return false
	}
	there := true
	for _, crd := range all {
		switch {
		case !crd.Installed:
			e.say(failed, "CRDs", crd.Name+" is not installed", "davit install")
			there = false
		case !crd.Served:
			e.say(failed, "CRDs", crd.Name+" is installed and not served", "kubectl describe crd "+crd.Name+" says why")
			there = false
		case len(crd.Lacks) > 0:
			e.say(failed, "CRDs", fmt.Sprintf("%s is an older davit's: it lacks %s, which the API server drops in silence", crd.Name, firstOf(crd.Lacks)), "davit install")
		case len(crd.Other) > 0:
			e.say(warn, "CRDs", fmt.Sprintf("%s is a newer davit's: it has %s", crd.Name, firstOf(crd.Other)), "use the davit that is installed in the cluster; to go back, davit install of this one")
		default:
			e.say(fine, "CRDs", crd.Name, "")
		}
	}
	return there
}

// firstOf names the first of many.
func firstOf(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// followed tells how a ModelRegistry is followed, by its conditions.
func (e *examination) followed(mr *v1alpha1.ModelRegistry) {
	name := mr.Namespace + "/" + mr.Name
	const remedy = "kubectl describe modelregistry, and the controller's log, say more"
	ready := meta.FindStatusCondition(mr.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil:
		e.say(failed, "controller", name+" is not looked at by a controller", "davit install --image …, and see that its pods run: kubectl -n "+mr.Namespace+" get pods")
	case meta.IsStatusConditionTrue(mr.Status.Conditions, v1alpha1.ConditionSuspended):
		e.say(warn, "controller", name+" is suspended: nothing is followed, and what runs stays as it is", "spec.suspend: false has it go on")
	case ready.Status != "True":
		e.say(failed, "controller", fmt.Sprintf("%s is not followed: %s: %s", name, ready.Reason, ready.Message), remedy)
	case ready.ObservedGeneration < mr.Generation:
		e.say(warn, "controller", name+" was changed and not looked at since", remedy)
	default:
		e.say(fine, "controller", fmt.Sprintf("%s follows %s", name, mr.Status.Revision), "")
	}
	e.conditions(mr)
	e.monitored(name, mr)
}

// monitored tells whether the controller reaches each Prometheus, which may be out of this machine's reach.
func (e *examination) monitored(name string, mr *v1alpha1.ModelRegistry) {
	switch c := meta.FindStatusCondition(mr.Status.Conditions, v1alpha1.ConditionMonitored); {
	case c == nil: // none is granted, or none was asked yet
	case c.Status == "False":
		e.say(warn, "prometheus", fmt.Sprintf("%s: serving metrics are not known: %s", name, c.Message),
			"see that spec.environments[].prometheus has its url and the Secret it wants, and that a NetworkPolicy lets davit reach it")
	default:
		e.say(fine, "prometheus", name+": each that is granted answers", "")
	}
}

// environments checks what each one declares, and that who applies there may.
func (e *examination) environments(ctx context.Context, target *cluster.Cluster, apis *cluster.APIs, registries []v1alpha1.ModelRegistry) {
	if e.models == nil {
		return
	}
	drivers := false
	if apis.Has("resource.k8s.io/v1") {
		if state, err := target.Capacity(ctx); err == nil {
			drivers = len(state.Devices.Slices) > 0
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.models.Environments)) {
		env := e.models.Environments[name]
		check := "environment " + name
		appliers, elsewhere := appliersOf(name, registries, e.accounts)
		if elsewhere {
			e.say(warn, check, "is in another cluster than this one", "run davit doctor with that one's kubeconfig")
			continue
		}
		faults := missing(e.models, env, apis, drivers)
		for _, f := range faults {
			e.say(failed, check, f.String(), "")
		}
		if len(faults) == 0 {
			e.say(fine, check, "the cluster has what it declares", "")
		}
		for _, who := range appliers {
			e.rights(ctx, target, env, who)
		}
	}
}
