// Package monitor asks a Prometheus how models are served: of all pods of a namespace in a few queries, and of some pods
// exactly. It makes the queries from what a runtime's file calls its metrics. It knows the registry's types, and nothing
// of clusters, releases' states or Git.
//
// Series are told apart by the labels namespace and pod, which the Prometheus Operator and Prometheus' usual scrape
// configurations give them.
package monitor
