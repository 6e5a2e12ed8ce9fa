// Package render turns a release and its model image's digest into Kubernetes objects, by small
// Kustomize builds in memory: the runtime's base first, whose arguments the Serving's are added to, and then
// the whole, once more where a selector has to be narrowed to the release.
//
// A build costs 8 to 15 ms. A Renderer builds each form of release once, with tokens in the place of what is
// the release's own (its name, labels, images, plain arguments and variables), and fills in the others in 0.3 ms;
// see form for when that gives the same bytes.
//
// It is pure: it knows no network, cluster, clock or environment, and of Git only the file system it is
// given. In the way of a commit it stands between the model image and the cluster. The layers are, in
// this order: the runtime's base, the accelerator, the Serving's fields, the environment, the release, the
// release in that environment, and at last davit's own namespace, labels and digests, which no layer overrides.
//
// Training does the same for a run of a training, over a base that davit writes.
package render
