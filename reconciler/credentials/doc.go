// Package credentials makes of the keys of a Secret, or of files of the same names, how a Git repository and its forge are
// reached: passwords, tokens, GitHub Apps, certificates, ssh keys and proxies.
//
// It knows nothing of clusters and file systems: who made the keys' values gives them. What is wrong with them it says in
// terms of the keys, with what to do, and never with a value. In the way of a commit it stands before the snapshot.
package credentials
