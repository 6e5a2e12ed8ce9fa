// Package why finds what of a registry's history an object, or one field of it, comes from: the commit that made it
// what it is and the lines of the files that say so.
//
// Nothing is guessed from names: a release is rendered before and after a commit, without a part of it, with a scalar
// of a file changed, and what makes a difference is the cause. It reads Git alone, knows no cluster and no OCI
// registry, and writes nothing. It is beside the way of a commit: cmd asks it.
package why
