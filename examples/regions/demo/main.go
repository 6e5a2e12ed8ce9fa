// Command demo serves one model in three regions, each with its own kind of GPU and its own way to roll out: a real
// Kubernetes with a real gateway, a real OCI registry, and simulated nodes that say in which region they are and what
// GPUs they have. Their pods become ready and run nothing, so that smoke tests are left out. Where a company has three
// clusters, here one has three namespaces. It fails when a step is not as told.
package main

import "github.com/davit-dev/davit/examples/stage"

func main() {
	stage.Main(func(s *stage.Stage) []stage.Step {
		d := &demo{Stage: s}
		return []stage.Step{
			{Title: "Build davit", Do: d.build},
			{Title: "Start a real Kubernetes with a gateway and nodes in three regions, and an OCI registry", Do: d.start},
			{Title: "One model in three regions in Git", Do: d.init},
			{Title: "davit sync --once brings v1 to all of them", Do: d.first},
			{Title: "What the regions' few lines become", Do: d.look},
			{Title: "Has each region room for v2 while v1 runs? davit plan --server", Do: d.plan},
			{Title: "First us: a second Deployment, and the Service turns to it at once", Do: d.us},
			{Title: "Then eu: 10 and 50 percent of the gateway's traffic, then all", Do: d.eu},
			{Title: "At last ap, quantized: pod after pod", Do: d.ap},
			{Title: "A fourth replica in ap would wait", Do: d.tooMany},
			{Title: "What runs, and what was", Do: d.tell},
		}
	})
}
