// Command demo rolls a language model out as a canary on real parts: a real Kubernetes, a real OCI registry, a real
// gateway that shares real requests out. There is no GPU here: vLLM is a stand-in that takes its arguments and answers
// at its paths, and the node only says that it has GPUs. As root on Linux the pods run; elsewhere they are simulated,
// and the steps that need answers are left out. It fails when a step is not as told.
package main

import "github.com/davit-dev/davit/examples/stage"

func main() {
	stage.Main(func(s *stage.Stage) []stage.Step {
		d := &demo{Stage: s}
		s.Remark = " (the example bakes for 3 s before it calls a release healthy)"
		return []stage.Step{
			{Title: "Build davit and the stand-in for vLLM", Do: d.build},
			{Title: "Start a real Kubernetes with a gateway, and an OCI registry", Do: d.start},
			{Title: "A registry of models in Git: chat v1 in staging and production", Do: d.init},
			{Title: "davit sync brings v1 to the cluster", Do: d.first},
			{Title: "Ask through the gateway", Do: d.v1, Real: true},
			{Title: "What production's ten lines become", Do: d.look},
			{Title: "Does v2 fit while v1 still runs? davit plan --server", Do: d.plan},
			{Title: "v2 in production: 5, 25, 50 percent of the traffic, then all", Do: d.canary},
			{Title: "git revert: v1 still runs, so going back takes seconds", Do: d.revert},
			{Title: "v3 leaks memory and dies under its 5 percent", Do: d.leaky, Real: true},
			{Title: "What runs, and what was", Do: d.tell},
		}
	})
}
