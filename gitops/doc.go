// Package gitops follows one branch of one Git repository, or its tags, and reads all of it or one folder: it mirrors a
// remote, opens a local object store directly, gives commits as immutable file systems, watches for new tips and walks the
// history.
//
// It knows no Kubernetes, no OCI and nothing of what the files mean; it imports no other davit package.
// In the way of a commit it is the first stage: a tip becomes a Snapshot, which registry reads.
// At the end of that way it writes: outcomes as notes, and proposals on branches of their own. Nothing is ever checked
// out, no push is forced, and the followed branch is never written.
package gitops
