// Package history answers from Git what was: which commits changed which release, who made them, what came of them and
// what served when.
//
// It stands beside the way of a commit: it reads the registry at past commits and the outcomes that were noted on them.
// Reading 2,000 commits of 10,000 releases takes seconds, so what they changed is kept in an index that grows with the
// branch, in memory and in a file in the Git folder. It knows no cluster and writes nothing but that file.
package history
