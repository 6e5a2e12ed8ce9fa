// Package fleet answers, live, what people ask of a fleet of models: what serves where, since when, by whom, is it well,
// what is on its way, and what to do. Its answers are plain values with JSON names: the web page's API.
//
// It stands at the end of the way of a commit. A small row per release is kept in memory by a watch of the ModelReleases,
// so that lists of ten thousand cost milliseconds; what is asked of one release, model or commit is read when it is asked,
// from the cluster, the followed repository and its history. It knows nothing of HTTP and HTML, decides nothing and
// writes nothing.
package fleet
