// Package sops decrypts objects that SOPS (https://getsops.io) encrypted: Secrets whose data and stringData are in the
// registry as ciphertext. They are rendered as they are, and come here on their way to the API server only.
//
// It knows SOPS' format alone: the data key, encrypted for age and OpenPGP recipients under the field "sops", and
// values written ENC[AES256_GCM,…]. SOPS' own library (v3.13) links the clients of every key management service it
// knows: the program grew by 20 MB, and 32 MiB more were resident at its start. The two kinds of keys that are read
// here need age and the OpenPGP that signatures are checked with already.
//
// What is protected: nobody without the data key can read a value, change it, or move it to another key or field, for
// each is authenticated by itself with its path in the document (AES-GCM's additional data: "data:token:"). A value in
// clear among data and stringData is refused, however SOPS was told to leave it so.
//
// What is not: what SOPS calls the MAC, over all values of a file in their order, is not checked. Kustomize sorts keys,
// adds labels and a namespace, and renames, so it can't hold for what was rendered. Nor does the path name the object.
// So somebody who may commit, and has no key, can leave values out, bring back old ones of the same file, swap those of
// the same path between documents of one file (they share the data key), change a Secret's name, namespace, type and
// labels, and put a copy of a whole file where other pods read it, in each environment whose keys decrypt it. Anybody
// can encrypt a file of his own for the same recipients. A commit of the whole file could do most of that with the MAC
// in order, too. What holds against it are signed commits, and keys of an environment's own: what production's keys
// alone decrypt is in no other environment.
//
// It knows nothing of clusters, Git and the registry; reconciler and cmd/davit hand it keys.
package sops
