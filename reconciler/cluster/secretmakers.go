package cluster

import (
	"cmp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// secretMakers are the kinds of which a controller makes Secrets, with the condition that says whether it could. They come
// before the workloads, whose pods wait for the Secrets (CreateContainerConfigError) and have not failed by that.
var secretMakers = map[schema.GroupKind]string{
	{Group: "external-secrets.io", Kind: "ExternalSecret"}: "Ready",
	{Group: "bitnami.com", Kind: "SealedSecret"}:           "Synced",
}

// secretMakerHealth is Waiting where the Secret can't be made: a store out of reach or a missing key is outside the revision.
func secretMakerHealth(kind schema.GroupKind, o *conditioned) Health {
	c := o.condition(secretMakers[kind])
	switch {
	case o.unobserved() || c.Type == "":
		return unobserved(kind.Kind, o.Metadata.Name)
	case c.Status == metav1.ConditionTrue:
		return Health{State: Ready}
	}
	return Health{State: Waiting, Reason: cmp.Or(c.Reason, "SecretNotMade"), Message: sentence(kind.Kind, o.Metadata.Name, c)}
}
