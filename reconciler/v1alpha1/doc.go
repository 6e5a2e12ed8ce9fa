// Package v1alpha1 holds the API types davit keeps in a cluster: the ModelRelease, one beside the objects of
// each release, with what was claimed, applied and healthy, what is held back, and what a person pinned.
//
// It knows nothing of how the fields come about. Package cluster reads and writes them, package reconciler
// decides what they say. The CRD in deploy/crds and the deep copies are generated from these types.
//
// +kubebuilder:object:generate=true
// +groupName=davit.dev
package v1alpha1

//go:generate go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0 object crd paths=. output:crd:dir=../../deploy/crds output:object:dir=.
