// Package image makes a model version an OCI image: it reads every file from its source once, checks it,
// frames it as a layer and uploads it while it streams, and puts the image under a tag that is a pure
// function of the content.
//
// The image is an ordinary one, so that Kubernetes can mount it as an image volume: an OCI manifest, a
// config with the real diff IDs, and for each file one uncompressed tar with the entry models/<path>. The
// same [registry.ModelVersion] gives the same digest everywhere and at any time.
//
// It knows nothing of Git, Kustomize, Kubernetes, environments and releases. In the way of a commit it
// stands between the releases (package registry) and the objects (package render), which name the image by
// its digest.
package image
