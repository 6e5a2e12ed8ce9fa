// Package lineage answers where a version of a model comes from and what came of it: back to the run, the spec, the code, the
// datasets and the versions it was made from, and forth to what was made from it and to the releases that serve or served it.
//
// It is told what the registry, the ledger of runs and the history say, and reads nothing by itself: no Git, no cluster, no
// clock. What one of them does not know is missing in the graph, or told as missing, and never guessed.
package lineage
