package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/install"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// controllers checks the controller of each namespace that has ModelRegistries, and of the one where davit install puts it.
func (e *examination) controllers(ctx context.Context, target *cluster.Cluster, registries []v1alpha1.ModelRegistry) {
	namespaces := []string{install.Namespace}
	for _, mr := range registries {
		namespaces = append(namespaces, mr.Namespace)
	}
	slices.Sort(namespaces)
	for _, namespace := range slices.Compact(namespaces) {
		its := slices.DeleteFunc(slices.Clone(registries), func(mr v1alpha1.ModelRegistry) bool { return mr.Namespace != namespace })
		e.controller(ctx, target, namespace, its)
		for i := range its {
			e.followed(&its[i])
		}
	}
}

// controller checks the one of a namespace: that it runs, and that its service account may do what its registries take.
func (e *examination) controller(ctx context.Context, target *cluster.Cluster, namespace string, registries []v1alpha1.ModelRegistry) {
	c, err := target.Controller(ctx, namespace, controllerName)
	switch {
	case err != nil:
		e.say(warn, "controller", oneLine(err), "who may read deployments, replicasets and pods in namespace "+namespace+" learns how it fares")
		return
	case c == nil && len(registries) == 0: // davit sync needs none
		return
	case c == nil:
		e.say(warn, "controller", fmt.Sprintf("namespace %s has ModelRegistries and no Deployment %s", namespace, controllerName), "davit install --namespace "+namespace+", unless a davit controller outside of this cluster follows them")
		return
	case c.Health.State != cluster.Ready:
		e.say(failed, "controller", fmt.Sprintf("%s/%s (%s) is not available: %s", namespace, controllerName, c.Image, c.Health.Sentence()), "kubectl -n "+namespace+" describe pods -l app.kubernetes.io/name=davit, and kubectl -n "+namespace+" logs deployment/"+controllerName)
	default:
		e.say(fine, "controller", fmt.Sprintf("%s/%s is available (%s)", namespace, controllerName, c.Image), "")
	}
	e.accounts[namespace] = c.Account
	e.accountRights(ctx, target, namespace, c.Account, registries)
}

// controllerName is what the Deployment and its container are called.
const controllerName = "davit"

// accountRights asks what the controller's service account may do where it is, in the namespaces of the environments, and as
// the service accounts that write there.
func (e *examination) accountRights(ctx context.Context, target *cluster.Cluster, namespace, account string, registries []v1alpha1.ModelRegistry) {
	user := cluster.ServiceAccount(namespace, account)
	faults := []error{target.CheckAccount(ctx, namespace, account), target.CheckCounts(ctx, user)}
	for _, mr := range registries {
		for _, g := range mr.Spec.Environments {
			if g.Cluster != nil {
				continue // there it is whom that one's kubeconfig names
			}
			for _, ns := range g.Namespaces {
				faults = append(faults, target.CheckAccountIn(ctx, user, ns))
			}
			if sa := g.ServiceAccount; sa != nil {
				faults = append(faults, target.CheckActs(ctx, user, sa.Namespace, sa.Name))
			}
		}
	}
	told := map[string]bool{}
	for _, err := range faults {
		if err == nil || told[err.Error()] {
			continue
		}
		told[err.Error()] = true
		var missing *cluster.MissingRightsError
		if !errors.As(err, &missing) {
			e.say(warn, "controller", oneLine(err), "who may create subjectaccessreviews learns what others may")
			return
		}
		remedy := missing.Remedy
		missing.Remedy = ""
		e.say(failed, "controller", missing.Error(), remedy)
	}
	if len(told) == 0 {
		e.say(fine, "controller", fmt.Sprintf("service account %s/%s may do what it has to", namespace, account), "")
	}
	if all, err := target.May(ctx, cluster.Access{Who: user.UserName, Verb: "list", Resource: "pods"}); err == nil && !all {
		e.say(fine, "controller", "of the GPUs that are held it counts those of its environments alone; the Component deploy/capacity has it see the pods of all namespaces", "")
	}
}

// conditions tells those of a ModelRegistry that say that something beside following fails, with what to do.
func (e *examination) conditions(mr *v1alpha1.ModelRegistry) {
	for _, c := range []struct{ condition, what, remedy string }{
		{v1alpha1.ConditionConnected, "environments are out of reach", "have the clusters reachable from davit's pods, and its rights bound there: davit install --environment NAME=NAMESPACE"},
		{v1alpha1.ConditionRecorded, "outcomes do not reach Git", "give its credentials the right to push refs/notes/davit*, davit/* and refs/davit/*, or set outcomes: Cluster"},
		{v1alpha1.ConditionPullSecrets, "pull secrets do not reach the environments", "have each in namespace " + mr.Namespace + ", of type kubernetes.io/dockerconfigjson, and no other Secret of its name in an environment's"},
		{v1alpha1.ConditionNotified, "notifications are not delivered", "see that the url in the Secret is valid, and that a NetworkPolicy and the proxy let davit reach it"},
	} {
		if is := meta.FindStatusCondition(mr.Status.Conditions, c.condition); is != nil && is.Status == "False" {
			e.say(failed, "controller", fmt.Sprintf("%s/%s: %s: %s", mr.Namespace, mr.Name, c.what, is.Message), c.remedy)
		}
	}
}
