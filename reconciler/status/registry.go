package status

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// registryFinding tells of a ModelRegistry that is not followed as it should be.
func registryFinding(mr *v1alpha1.ModelRelease, s situation) *Finding {
	if s.registry == nil {
		return nil
	}
	for _, c := range s.registry.Status.Conditions {
		if c.Type != v1alpha1.ConditionReady || c.Status != metav1.ConditionFalse {
			continue
		}
		if c.Reason == "NotSigned" && !strings.Contains(c.Message, "environment "+mr.Spec.Environment+" ") {
			return nil // other environments are behind
		}
		r, ok := waiting[c.Reason]
		if !ok {
			r = remedy{means: "The registry is not followed, so no new commit arrives. It is tried again.", do: []string{"kubectl -n {registry} describe modelregistry {registryName}"}}
		}
		return &Finding{What: "registry", Text: sentences(reasoned(c.Reason, c.Message), r.means), Do: s.commands(mr, r.do), Rank: Stopped}
	}
	return nil
}

// recordedFinding tells that outcomes do not reach Git.
func recordedFinding(_ *v1alpha1.ModelRelease, s situation) *Finding {
	if s.registry == nil {
		return nil
	}
	c := meta.FindStatusCondition(s.registry.Status.Conditions, v1alpha1.ConditionRecorded)
	if c == nil || c.Status != metav1.ConditionFalse {
		return nil
	}
	return &Finding{What: "outcomes", Rank: Odd, Text: sentences("Outcomes do not reach Git: "+c.Message,
		"Each release keeps its last five until they do. Give davit's credentials the right to push refs/notes/davit and davit/*, or say outcomes: Cluster in the ModelRegistry.")}
}

// suspendedRegistryFinding tells that no commit arrives because a person wants that.
func suspendedRegistryFinding(_ *v1alpha1.ModelRelease, s situation) *Finding {
	if s.registry == nil || !s.registry.Spec.Suspend {
		return nil
	}
	return &Finding{
		What: "registry", Rank: Odd, Text: "Following is suspended in the ModelRegistry: no commit arrives, and nothing is corrected or rolled back.",
		Do: []string{fmt.Sprintf(`kubectl -n %s patch modelregistry %s --type=merge -p '{"spec":{"suspend":false}}'`, s.registry.Namespace, s.registry.Name)},
	}
}

// notifiedFinding tells that notifications do not reach their receivers.
func notifiedFinding(_ *v1alpha1.ModelRelease, s situation) *Finding {
	if s.registry == nil || !meta.IsStatusConditionFalse(s.registry.Status.Conditions, v1alpha1.ConditionNotified) {
		return nil
	}
	c := meta.FindStatusCondition(s.registry.Status.Conditions, v1alpha1.ConditionNotified)
	return &Finding{What: "notifications", Rank: Odd, Text: sentences("Not all notifications are delivered: " + c.Message)}
}

// monitoredFinding tells a release whose environment's Prometheus does not answer that its serving metrics are old.
func monitoredFinding(mr *v1alpha1.ModelRelease, s situation) *Finding {
	if s.registry == nil || !meta.IsStatusConditionFalse(s.registry.Status.Conditions, v1alpha1.ConditionMonitored) {
		return nil
	}
	c := meta.FindStatusCondition(s.registry.Status.Conditions, v1alpha1.ConditionMonitored)
	if !strings.Contains(c.Message, "environment "+mr.Spec.Environment+": ") {
		return nil // others' does not
	}
	return &Finding{What: "monitoring", Rank: Odd, Text: sentences("Serving metrics are not known: "+c.Message, "A rollout with checks waits meanwhile.")}
}
