// Command demo runs a fleet of small models on slices of GPUs: a real Kubernetes, a real OCI registry, and simulated
// nodes that say they have MIG slices. Their pods become ready and run nothing, so that smoke tests are left out. It
// fails when a step is not as told.
package main

import "github.com/davit-dev/davit/examples/stage"

func main() {
	stage.Main(func(s *stage.Stage) []stage.Step {
		d := &demo{Stage: s}
		return []stage.Step{
			{Title: "Build davit", Do: d.build},
			{Title: "Start a real Kubernetes whose nodes say they have MIG slices, and an OCI registry", Do: d.start},
			{Title: "Seven models of three teams in Git", Do: d.init},
			{Title: "davit sync --once brings all of them to the cluster", Do: d.first},
			{Title: "Who has which slices", Do: d.look},
			{Title: "Four embedders? davit plan --server tells what would wait", Do: d.tooMany},
			{Title: "Three fit, and take the last large slice", Do: d.fits},
			{Title: "Now moderation v2 has no slice to start on beside v1", Do: d.full},
			{Title: "An embedder less makes room, in the same commit", Do: d.room},
			{Title: "What runs", Do: d.tell},
		}
	})
}
