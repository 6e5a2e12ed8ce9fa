// Package render turns a release and its model image's digest into Kubernetes objects, by one small
// Kustomize build in memory.
//
// It is pure: it knows no network, cluster, clock or environment, and of Git only the file system it is
// given. In the way of a commit it stands between the model image and the cluster. The layers are, in
// this order: the runtime's base, the accelerator, the Serving's fields, the environment, the release, the
// release in that environment, and at last davit's own namespace, labels and digests, which no layer overrides.
package render
