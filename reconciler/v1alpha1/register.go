package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of every type of this package.
var GroupVersion = schema.GroupVersion{Group: "davit.dev", Version: "v1alpha1"}

// Kind is the kind of a ModelRelease; Resource its plural in URLs.
const (
	Kind     = "ModelRelease"
	Resource = "modelreleases"
)

// RegistryKind is the kind of a ModelRegistry; RegistryResource its plural in URLs.
const (
	RegistryKind     = "ModelRegistry"
	RegistryResource = "modelregistries"
)

// AddToScheme registers the types of this package, so that typed clients can decode them.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &ModelRelease{}, &ModelReleaseList{}, &ModelRegistry{}, &ModelRegistryList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
