package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// TestRealNodeWithoutJobSet trains on two nodes of an indexed Job that davit starts, while the OCI registry is away: one
// node dies, the retry that each has resumes from the checkpoint, and then only publishing is repeated until the OCI
// registry is back.
func TestRealNodeWithoutJobSet(t *testing.T) {
	d := realDemo(t)
	away := &registryAway{}
	t.Cleanup(away.close)
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"build", d.build}, {"start", d.start}, {"init", d.init},
		{"move the OCI registry", func(ctx context.Context) error { return d.move(ctx, away) }},
		{"begin", d.begin},
		{"die and resume", d.resumeIndexed},
		{"publish", func(ctx context.Context) error { return d.publishLate(ctx, away) }},
	} {
		if err := step.do(t.Context()); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
	}
}

// move has models pushed to an address where nothing listens yet, and the environment declare no JobSet.
func (d *demo) move(ctx context.Context, away *registryAway) error {
	if err := away.reserve(d.Cluster.PodRegistry, d.Cluster.Registry); err != nil {
		return err
	}
	for _, e := range [][3]string{
		{"davit.yaml", d.Cluster.PodRegistry, away.address},
		{environment, ", features: [jobset]", ""},
		{training, "  baseVersion: v1\n", ""}, // whose image would have to be there
		{training, "retries: 3", "retries: 1"},
		{training, "STANDIN_STEP: 200ms", "STANDIN_STEP: 100ms"},
	} {
		if err := d.Edit(e[0], e[1], e[2]); err != nil {
			return err
		}
	}
	if err := d.Show(ctx, "git", "commit", "-qam", "without JobSet, and with one retry"); err != nil {
		return err
	}
	_, err := d.render(ctx)
	return err
}

func (d *demo) resumeIndexed(ctx context.Context) error {
	for _, pattern := range []string{
		`^\[1\] node 1: joined ` + d.run + "-0." + d.run + ":29500 at step 0",
		`^\[1\] node 1: step 25: dies here`,
		`^\[0\] node 0: .*lost node 1`,
		`^\[0\] node 0: resumes from the checkpoint of step 20`,
		`^\[1\] node 1: joined ` + d.run + "-0." + d.run + ":29500 at step 20",
		`^\[0\] node 0: done: .*"nodes":2,"steps":40`,
	} {
		if _, err := d.logs.find(ctx, pattern); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) publishLate(ctx context.Context, away *registryAway) error {
	// The second failure's: it goes on trying.
	if _, err := d.logs.find(ctx, `^\[0\] \[publisher\] .*publishing failed, it is tried again.* after=2s`); err != nil {
		return err
	}
	if err := d.Expect(ctx, []string{d.run + ` .*Publishing`}, d.Davit(), "train", "list"); err != nil {
		return err
	}
	back := time.Now()
	if err := away.open(); err != nil {
		return err
	}
	if _, err := d.Until(ctx, "a version is proposed.*run="+d.run, back); err != nil {
		return err
	}
	if err := d.logs.end(ctx); err != nil {
		return err
	}
	if trained, published := d.logs.count("node 0: done: "), d.logs.count(" published, "); trained != 1 || published != 1 {
		return fmt.Errorf("it trained to the end %d times and published %d times, want once each", trained, published)
	}
	return d.Expect(ctx, []string{d.run + ` .*Succeeded → ` + d.run}, d.Davit(), "train", "list")
}

// registryAway is an address of the OCI registry where it answers only once it is opened.
type registryAway struct {
	address, target string
	listener        net.Listener
	work            sync.WaitGroup
}

// reserve finds a free port of the host that pods reach at near.
func (r *registryAway) reserve(near, target string) error {
	host, _, err := net.SplitHostPort(near)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return err
	}
	r.address, r.target = l.Addr().String(), target
	return l.Close()
}

// open passes each connection on to the OCI registry.
func (r *registryAway) open() (err error) {
	if r.listener, err = net.Listen("tcp", r.address); err != nil {
		return err
	}
	r.work.Go(func() {
		for {
			from, err := r.listener.Accept()
			if err != nil {
				return
			}
			go r.pass(from)
		}
	})
	return nil
}

func (r *registryAway) pass(from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", r.target)
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		_, _ = io.Copy(to, from)
		to.Close()
	}()
	_, _ = io.Copy(from, to)
}

func (r *registryAway) close() {
	if r.listener != nil {
		r.listener.Close()
		r.work.Wait()
	}
}
