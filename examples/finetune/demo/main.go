// Command demo trains a language model on two nodes of eight GPUs, on real parts: a real Kubernetes, JobSet's real
// controller, a real OCI registry. One of the nodes dies, and the run goes on from its last checkpoint; what it made is
// proposed as a version. There is no GPU here: the trainer is a stand-in, and the cluster's only node says that it has
// sixteen. As root on Linux the pods run; elsewhere they are simulated, leave no model, and the steps that need containers
// are left out. It fails when a step is not as told.
package main

import "github.com/davit-dev/davit/examples/stage"

func main() {
	stage.Main(func(s *stage.Stage) []stage.Step { return story(&demo{Stage: s}) })
}

func story(d *demo) []stage.Step {
	return []stage.Step{
		{Title: "Build davit and the stand-in for a trainer", Do: d.build},
		{Title: "Start a real Kubernetes with JobSet's controller, and an OCI registry", Do: d.start},
		{Title: "A registry of models in Git: chat v1, and how it is tuned", Do: d.init},
		{Title: "What those lines become", Do: d.look},
		{Title: "A place for checkpoints, and davit starts the run", Do: d.begin},
		{Title: "The nodes find each other by name, and train until one dies", Do: d.die, Real: true},
		{Title: "The set begins anew, from the last checkpoint, and node 0 publishes what came of it", Do: d.resume, Real: true},
		{Title: "The run is done, and davit proposes its version", Do: d.done},
		{Title: "A misspelt hyperparameter is another run, and costs no retry", Do: d.mistake, Real: true},
	}
}
