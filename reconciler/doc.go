// Package reconciler is davit's loop: it takes a commit of the registry to objects in a cluster that are
// healthy, or back to the last revision that was.
//
// reconcile.go shows the way of a commit on one screen. Each stage is a package that knows nothing of the
// others: snapshots come from gitops, releases from registry, images from registry/image, objects from
// render, and reconciler/cluster brings them to Kubernetes. What to do after a failure is decided here.
package reconciler
