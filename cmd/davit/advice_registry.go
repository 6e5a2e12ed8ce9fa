package main

import (
	"fmt"

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
