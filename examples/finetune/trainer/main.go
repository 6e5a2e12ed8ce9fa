// Command trainer stands in for a trainer of language models where there is no GPU. What a platform sees of one is
// real: the nodes find each other by torchrun's variables, wait for each other in every step, keep checkpoints and
// resume from them, die, and leave a model in /output. What they learn is not: eight numbers, drawn towards others
// that the seed and the dataset's sha256 stand for. The dataset itself is never fetched.
//
// Two variables are the stand-in's own: STANDIN_STEP is how long a step takes ("100ms" without it), and STANDIN_DIE
// ("25" or "25:2") has the last node die at that step, with exit code 1 or the one given, in a run that did not
// resume.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes. A Job takes 2 for a fault of the training's spec, which another attempt does not cure; Go ends with
// it too at a signal or a panic, so that a signal needs a code of its own: the shell's for SIGTERM.
const (
	exitFailed     = 1
	exitUsage      = 2
	exitTerminated = 128 + int(syscall.SIGTERM)
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	os.Exit(start(ctx))
}

func start(ctx context.Context) int {
	s, err := read(os.Args[1:], os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, "trainer stand-in:", err)
		return exitUsage
	}
	n := &node{settings: s, log: log.New(os.Stdout, fmt.Sprintf("node %d: ", s.rank), 0)}
	if s.rank == 0 {
		if n.listener, err = net.Listen("tcp", net.JoinHostPort("", s.port)); err != nil {
			n.log.Print(err)
			return exitFailed
		}
	}
	err = n.run(ctx)
	if err != nil {
		n.log.Print(err)
	}
	var died death
	switch {
	case err == nil:
		return 0
	case errors.As(err, &died):
		return int(died)
	case ctx.Err() != nil:
		return exitTerminated
	}
	return exitFailed
}
