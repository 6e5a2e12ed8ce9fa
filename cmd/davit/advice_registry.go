package main

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// suspendedRegistryFinding tells that no commit arrives because a person wants that.
func suspendedRegistryFinding(_ *v1alpha1.ModelRelease, s situation) *finding {
	if s.registry == nil || !s.registry.Spec.Suspend {
		return nil
	}
	return &finding{
		What: "registry", Rank: odd, Text: "Following is suspended in the ModelRegistry: no commit arrives, and nothing is corrected or rolled back.",
		Do: []string{fmt.Sprintf(`kubectl -n %s patch modelregistry %s --type=merge -p '{"spec":{"suspend":false}}'`, s.registry.Namespace, s.registry.Name)},
	}
}

// notifiedFinding tells that notifications do not reach their receivers.
func notifiedFinding(_ *v1alpha1.ModelRelease, s situation) *finding {
	if s.registry == nil || !meta.IsStatusConditionFalse(s.registry.Status.Conditions, v1alpha1.ConditionNotified) {
		return nil
	}
	c := meta.FindStatusCondition(s.registry.Status.Conditions, v1alpha1.ConditionNotified)
	return &finding{What: "notifications", Rank: odd, Text: sentences("Not all notifications are delivered: " + c.Message)}
}

// monitoredFinding tells a release whose environment's Prometheus does not answer that its serving metrics are old.
func monitoredFinding(mr *v1alpha1.ModelRelease, s situation) *finding {
	if s.registry == nil || !meta.IsStatusConditionFalse(s.registry.Status.Conditions, v1alpha1.ConditionMonitored) {
		return nil
	}
	c := meta.FindStatusCondition(s.registry.Status.Conditions, v1alpha1.ConditionMonitored)
	if !strings.Contains(c.Message, "environment "+mr.Spec.Environment+": ") {
		return nil // others' does not
	}
	return &finding{What: "monitoring", Rank: odd, Text: sentences("Serving metrics are not known: "+c.Message, "A rollout with checks waits meanwhile.")}
}
