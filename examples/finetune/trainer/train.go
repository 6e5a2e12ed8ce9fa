package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"time"
)

// steepness is that of what is learned: with it a language model's learning rate, 2e-5, is a good one.
const steepness = 5000

// node is one attempt's process.
type node struct {
	settings
	listener net.Listener // of node 0
	log      *log.Logger
}

// death is the exit code of a node that was told to die.
type death int

func (d death) Error() string {
	return fmt.Sprintf("dies here, as it was told to, with exit code %d", int(d))
}

func (n *node) run(ctx context.Context) error {
	s, g, err := n.begin(ctx)
	if err != nil {
		return err
	}
	defer g.close()
	defer context.AfterFunc(ctx, g.close)()
	err = n.train(ctx, g, &s)
	var gone lost
	if errors.As(err, &gone) {
		n.log.Print(err)
		return n.mourn(ctx)
	}
	if err != nil || n.rank > 0 {
		return err
	}
	return n.leave(s)
}

// mourn waits to be ended together with all others, as whoever starts a set anew does.
func (n *node) mourn(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return errors.New("told to end")
	case <-time.After(n.grief):
		return errors.New("nobody ended this node, so that it fails")
	}
}

// begin brings the nodes together, all where the newest checkpoint is. Only node 0 reads it, so that they agree.
func (n *node) begin(ctx context.Context) (s state, g *group, err error) {
	ctx, cancel := context.WithTimeout(ctx, n.patience)
	defer cancel()
	if n.rank > 0 {
		if g, s, err = n.join(ctx); err == nil {
			n.log.Printf("joined %s at step %d", n.master, s.Step)
		}
		return s, g, err
	}
	if s.Weights, err = n.base(); err != nil {
		return s, nil, err
	}
	if n.checkpoints != "" {
		resumed, err := s.resume(n.checkpoints)
		if err != nil {
			return s, nil, fmt.Errorf("looking for checkpoints: %w", err)
		}
		if resumed {
			n.log.Printf("resumes from the checkpoint of step %d", s.Step)
		}
	}
	if g, err = n.lead(ctx, s); err == nil {
		n.log.Printf("all %d nodes are here; step %d of %d is next", n.nodes, s.Step+1, n.steps)
	}
	return s, g, err
}

// train goes on from s to the last step. Where it ends is the same whatever interrupted it.
func (n *node) train(ctx context.Context, g *group, s *state) error {
	first, goal := s.Step+1, n.goal()
	for s.Step < n.steps {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(n.step):
		}
		at := s.Step + 1
		if at == n.dieAt && first == 1 && n.rank == n.nodes-1 {
			return fmt.Errorf("step %d: %w", at, n.dieWith)
		}
		mean, err := g.mean(gradient(s.Weights, goal), n.rank)
		if err != nil {
			return fmt.Errorf("step %d: %w", at, err)
		}
		for i := range s.Weights {
			s.Weights[i] -= n.rate * mean[i]
		}
		s.Step, s.Loss = at, mean[len(s.Weights)]
		if err := n.tell(*s); err != nil {
			return fmt.Errorf("step %d: writing a checkpoint: %w", at, err)
		}
	}
	return nil
}

// goal is what this node's part of the data would teach by itself.
func (n *node) goal() []float64 {
	random := rand.New(rand.NewPCG(n.data[0], n.data[1]+uint64(n.rank)))
	goal := make([]float64, size)
	for i := range goal {
		goal[i] = random.NormFloat64()
	}
	return goal
}

// gradient is that of the squared distance to the goal, with the loss at its end.
func gradient(weights, goal []float64) []float64 {
	out := make([]float64, len(weights)+1)
	for i, w := range weights {
		distance := w - goal[i]
		out[i] = steepness * distance
		out[len(weights)] += distance * distance / 2
	}
	return out
}

// tell is node 0's: a checkpoint every so many steps, and a line for each.
func (n *node) tell(s state) error {
	if n.rank > 0 || s.Step%n.saveEvery != 0 {
		return nil
	}
	written := ""
	if n.checkpoints != "" {
		if err := s.save(n.checkpoints); err != nil {
			return err
		}
		written = ", checkpoint written"
	}
	n.log.Printf("step %d loss %.4f%s", s.Step, s.Loss, written)
	fmt.Fprintf(n.log.Writer(), "davit: progress %d/%d loss=%.4f\n", s.Step, n.steps, s.Loss) // for davit train list
	return nil
}
