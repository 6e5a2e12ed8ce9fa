// Command demo tells davit's main story on real parts: a real Kubernetes, a real OCI registry, a Git repository
// made by the real git. As root on Linux pods run on a real node; elsewhere they are simulated, and the steps
// that need a running container are left out. It fails when a step is not as told.
//
// It types what a user would type, and knows davit only by its commands.
package main

import "github.com/davit-dev/davit/examples/stage"

func main() {
	stage.Main(func(s *stage.Stage) []stage.Step {
		d := &demo{s}
		s.Remark = " (the example bakes for 5 s before it calls a release healthy)"
		return []stage.Step{
			{Title: "Build davit and the example's server", Do: d.build},
			{Title: "Start a real Kubernetes and an OCI registry", Do: d.start},
			{Title: "A registry of models in Git: iris v1 in staging and production", Do: d.init},
			{Title: "davit sync brings v1 to the cluster", Do: d.first},
			{Title: "Ask the model: v1 is weak and takes a setosa for a versicolor", Do: d.weak, Real: true},
			{Title: "A pull request's merge promotes v2 to production", Do: d.promote},
			{Title: "Ask again: v2 knows it", Do: d.good, Real: true},
			{Title: "The damaged v3 is promoted, fails, and goes back by itself", Do: d.damaged, Real: true},
			{Title: "git revert of v3 clears the hold; nothing changes in the cluster", Do: d.revertDamaged, Real: true},
			{Title: "git revert -m 1 of v2's merge: v1 is back with its old digest", Do: d.revertGood},
			{Title: "Ask once more: v1 answers", Do: d.weak, Real: true},
			{Title: "A training is merged: it runs once in the cluster, and the version it made is proposed", Do: d.train, Real: true},
			{Title: "A pull request's merge promotes what the cluster trained", Do: d.trained, Real: true},
			{Title: "Ask the trained version", Do: d.good, Real: true},
			{Title: "What runs, and what was", Do: d.tell},
		}
	})
}
