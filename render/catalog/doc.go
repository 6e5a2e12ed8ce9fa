// Package catalog holds the runtimes and accelerators that davit brings along, each a folder as it will lie in a
// registry's repository. They are copied there once, by a person, and belong to the repository from then on: another
// davit's catalog changes no release.
//
// It knows nothing of repositories, OCI registries and clusters. In the way of a commit it has no place: render reads
// the copies.
package catalog
