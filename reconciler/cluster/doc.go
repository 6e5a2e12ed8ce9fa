// Package cluster brings a release's objects into a Kubernetes cluster and tells how they fare: claim, plan,
// apply, prune, health. It is the one importer of client-go.
//
// It knows nothing of Git, registries or rendering, and decides no policy: whether a failure leads to a
// rollback is the caller's business. In the way of a commit it stands between the rendered objects (package
// render) and the outcome (package reconciler). All state is in the cluster, in one ModelRelease per release;
// the ModelRelease is the parent of the release's objects in the sense of ApplySet (KEP-3659).
package cluster
