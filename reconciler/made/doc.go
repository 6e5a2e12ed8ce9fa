// Package made says what came of a training's run: the file of the new ModelVersion, the commit that adds it and the pull
// request in which people decide about it.
//
// It stands at the end of the way of a run: the reconciler hands it the training, the run as the ledger has it and what the
// publisher left in the OCI registry, and commits what it gets. It knows no Git, no cluster and no clock. Runs come from
// images that the registry's owners did not write: all that reaches Markdown or a trailer is taken as hostile.
package made
