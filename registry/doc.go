// Package registry reads a model registry from an [io/fs.FS]: models, their versions and trainings, environments,
// runtimes, accelerators and releases, each a strict KRM file whose place names the thing.
//
// It knows nothing of Git, OCI, Kustomize or Kubernetes, opens no network connection and reads no clock:
// the same files give the same [Registry] and the same faults. In the way of a commit it stands between
// the snapshot (package gitops) and the model image and objects (packages image and render).
package registry
