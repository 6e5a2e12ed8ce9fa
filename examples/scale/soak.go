package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/davit-dev/davit/examples/scale/controller"
	"github.com/davit-dev/davit/examples/scale/generate"
)

// soakCommand commits promotions back and forth, one after the other, and watches the controller's memory.
func soakCommand(ctx context.Context, args []string) (err error) {
	o := generate.Options{Layout: generate.Teams, Replicas: 1}
	flags := flag.NewFlagSet("soak", flag.ExitOnError)
	flags.IntVar(&o.Releases, "n", 1000, "number of releases")
	duration := flags.Duration("for", 15*time.Minute, "how long")
	layoutFlag(flags, &o.Layout)
	if err := flags.Parse(args); err != nil {
		return err
	}
	w, err := newWorld(ctx, o)
	defer func() { err = errors.Join(err, w.close()) }()
	if err != nil {
		return err
	}
	s := &soak{measure: &measure{world: w, bench: &bench{}, n: o.Releases}}
	if err := s.firstSync(ctx); err != nil {
		return err
	}
	return s.run(ctx, *duration)
}

// soak is a run and what was seen at each look.
type soak struct {
	*measure
	commits int
	seen    []*controller.Usage
}

// lookEvery is the time between two looks at the controller.
const lookEvery = 10 * time.Second

func (s *soak) run(ctx context.Context, duration time.Duration) error {
	began := time.Now()
	fmt.Println("seconds\tcommits\tRSS MiB\tlive heap MiB\tgoroutines")
	for look := began; time.Since(began) < duration; {
		if time.Now().After(look) {
			look = look.Add(lookEvery)
			if err := s.look(time.Since(began)); err != nil {
				return err
			}
		}
		if err := s.commit(ctx); err != nil {
			return err
		}
	}
	if err := s.look(time.Since(began)); err != nil {
		return err
	}
	return s.verdict()
}

// commit promotes one release and waits until its objects are applied, no longer: the rollouts overlap.
func (s *soak) commit(ctx context.Context) error {
	r := s.repo.pick(1)[0]
	c, err := s.repo.commit(ctx, s.repo.promote(r))
	if err != nil {
		return err
	}
	s.commits++
	return s.davit.await(ctx, r.Name+" to be applied", time.Minute, func() bool { return !s.davit.at(r.Name, c.hash).applied.IsZero() })
}

func (s *soak) look(after time.Duration) error {
	u, err := s.davit.usage()
	if err != nil {
		return err
	}
	s.seen = append(s.seen, u)
	fmt.Printf("%.0f\t%d\t%.1f\t%.1f\t%d\n", after.Seconds(), s.commits, float64(u.RSS)/(1<<20), float64(u.HeapLive)/(1<<20), u.Goroutines)
	return nil
}

// Growth that counts: more than the noise of a garbage-collected heap.
const (
	growthShare = 0.05
	growthBytes = 8 << 20
)

// verdict compares the second quarter of the looks with the last; the first is warm-up.
func (s *soak) verdict() error {
	quarter := len(s.seen) / 4
	if quarter == 0 {
		return errors.New("too short for a verdict: it takes four looks, one every 10 s")
	}
	failed := false
	for what, value := range map[string]func(*controller.Usage) uint64{
		"RSS":       func(u *controller.Usage) uint64 { return u.RSS },
		"live heap": func(u *controller.Usage) uint64 { return u.HeapLive },
	} {
		early, late := median(s.seen[quarter:2*quarter], value), median(s.seen[len(s.seen)-quarter:], value)
		growth := float64(late) - float64(early)
		verdict := "flat"
		if growth > growthBytes && growth > growthShare*float64(early) {
			verdict, failed = "GROWS", true
		}
		fmt.Printf("%s: %s after warm-up, %s at the end of %d commits: %s\n", what, mebibytes(early), mebibytes(late), s.commits, verdict)
	}
	if failed {
		return errors.New("memory grows")
	}
	fmt.Fprintln(os.Stderr, "memory stays flat")
	return nil
}

func median(seen []*controller.Usage, value func(*controller.Usage) uint64) uint64 {
	all := make([]uint64, len(seen))
	for i, u := range seen {
		all[i] = value(u)
	}
	slices.Sort(all)
	return all[len(all)/2]
}
