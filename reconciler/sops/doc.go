// Package sops decrypts objects that SOPS (https://getsops.io) encrypted: Secrets whose data and stringData are in the
// registry as ciphertext. They are rendered as they are, and come here on their way to the API server only.
//
// It knows SOPS' format alone: the data key, encrypted for age and OpenPGP recipients under the field "sops", and values
// written ENC[AES256_GCM,…]. SOPS' own library links the clients of every key management service it knows, 20 MB of
// them; the two kinds of keys that are read here need age and the OpenPGP that signatures are checked with already.
//
// What SOPS calls the MAC, over all values of a file in their order, is not checked: Kustomize sorts keys, adds labels and
// a namespace, and renames, so it can't hold for what was rendered. Each value is authenticated by itself with its place
// in the object (AES-GCM's additional data), so that none can be changed, or moved to another key or Secret, without the
// data key. What is left to somebody who may commit is to leave values out or to bring back old ones, which a commit of the
// whole file could do too: the commit's signature is what holds against that.
//
// It knows nothing of clusters, Git and the registry; reconciler and cmd/davit hand it keys.
package sops
