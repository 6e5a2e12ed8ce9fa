package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"path"
	"path/filepath"
	"sync"
	"time"

	"github.com/davit-dev/davit/examples/scale/controller"
	"github.com/davit-dev/davit/examples/scale/generate"
	"github.com/davit-dev/davit/examples/scale/results"
)

// soakCommand has commits, drift, failing releases and webhooks come at a rate for a while, and watches what the controller takes
// and how long it lets them wait. The controller fetches from a Git server, and hears of commits by webhooks alone.
func soakCommand(ctx context.Context, args []string) (err error) {
	o := generate.Options{Layout: generate.Teams, Replicas: 1}
	flags := flag.NewFlagSet("soak", flag.ExitOnError)
	flags.IntVar(&o.Releases, "n", 1000, "number of releases")
	duration := flags.Duration("for", 15*time.Minute, "how long")
	every := flags.Duration("every", time.Second, "time between two commits")
	rate := flags.Int("webhooks", 10, "webhook deliveries a second that are of no commit to the followed branch")
	podsUpTo := flags.Int("pods-up-to", 1000, "with more releases than this the Deployments have no replicas")
	profiles := flags.String("profiles", "", "folder for profiles of the controller: of its CPU, and every five minutes of its heap")
	layoutFlag(flags, &o.Layout)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.Releases > *podsUpTo {
		o.Replicas = 0
	}
	w, err := newWorld(ctx, o)
	defer func() { err = errors.Join(err, w.close()) }()
	if err != nil {
		return err
	}
	w.profiles = *profiles
	s := &soak{measure: &measure{world: w, bench: &bench{}, n: o.Releases}, every: *every, hooks: &hooks{rate: *rate}}
	url, stop, err := w.repo.serve(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if err = s.follow(ctx, url); err == nil {
		err = s.run(ctx, *duration)
	}
	if err != nil {
		err = errors.Join(err, errors.New(w.logTail()))
	}
	return err
}

// soak is a run and what was seen of it.
type soak struct {
	*measure
	every time.Duration

	commits, failed int
	waiting         []asked
	hooks           *hooks
	bad             *generate.Release // whose Deployment the API server refuses
	badUntil        int               // the commit that mends it

	seen     []look
	nextHeap time.Duration // into the run

	mu     sync.Mutex
	drifts []time.Duration // of the look that is coming
	undone int             // edits that davit undid
}

// asked is a promotion whose objects are not applied yet.
type asked struct {
	release string
	commit
}

// look is what was seen at one time, and of the time since the look before.
type look struct {
	usage           *controller.Usage
	latency, drifts []time.Duration
}

// The rates, and how soon things have to be done.
const (
	lookEvery  = 10 * time.Second
	heapEvery  = 5 * time.Minute
	driftEvery = 3 * time.Second
	badEvery   = 20 // commits
	badFor     = 8  // commits
	lateAfter  = time.Minute
)

// follow starts the controller at a Git server, and waits until all releases are healthy.
func (s *soak) follow(ctx context.Context, url string) error {
	s.hooks.secret = rand.Text()
	err := s.startWith(controller.Config{Repository: url, Mirror: filepath.Join(s.dir, "mirror.git"), Secret: s.hooks.secret})
	if err != nil {
		return err
	}
	if s.hooks.url, err = s.davit.url(ctx); err != nil {
		return err
	}
	return s.synced(ctx)
}

func (s *soak) run(ctx context.Context, duration time.Duration) error {
	beside, stop := context.WithCancelCause(ctx)
	var all sync.WaitGroup
	for _, does := range []func(context.Context) error{s.drifting, s.hooks.delivering} {
		all.Go(func() {
			if err := does(beside); err != nil {
				stop(err)
			}
		})
	}
	err := s.committing(beside, duration)
	stop(err)
	all.Wait()
	if err = context.Cause(beside); !errors.Is(err, context.Canceled) || ctx.Err() != nil {
		return err
	}
	if err := s.settled(ctx); err != nil {
		return err
	}
	return s.verdict()
}

func (s *soak) committing(ctx context.Context, duration time.Duration) error {
	began := time.Now()
	fmt.Println("seconds\tcommits\tcommit to applied, p50 / p99\tdrift undone, p50\tRSS MiB\tlive heap MiB\tgoroutines")
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for at := began; time.Since(began) < duration; {
		if err := s.commit(ctx); err != nil {
			return err
		}
		if time.Now().After(at.Add(lookEvery)) {
			at = time.Now()
			if err := s.look(time.Since(began)); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s.look(time.Since(began))
}

// commit promotes one release, and waits for nothing. Now and then it breaks another one, or mends it.
func (s *soak) commit(ctx context.Context) error {
	r := s.repo.pick(1)[0]
	if s.bad != nil && r.Name == s.bad.Name {
		r = s.repo.pick(1)[0]
	}
	changes := []change{s.repo.promote(r)}
	switch {
	case s.bad == nil && s.commits%badEvery == badEvery/2:
		bad := s.repo.pick(1)[0]
		s.bad, s.badUntil = &bad, s.commits+badFor
		s.failed++
		changes = append(changes, change{component(bad), generate.Refused}, s.repo.promote(bad))
	case s.bad != nil && s.commits >= s.badUntil:
		changes = append(changes, s.mend()...)
	}
	c, err := s.repo.commit(ctx, changes...)
	if err != nil {
		return err
	}
	s.commits++
	s.waiting = append(s.waiting, asked{r.Name, c})
	return s.hooks.pushed(ctx, c.hash)
}

func component(r generate.Release) string { return path.Join(path.Dir(r.File), "kustomization.yaml") }

func (s *soak) mend() []change {
	bad := *s.bad
	s.bad = nil
	return []change{{file: component(bad)}, s.repo.promote(bad)}
}

// drifting edits what davit applied, and waits each time until it is undone.
func (s *soak) drifting(ctx context.Context) error {
	tick := time.NewTicker(driftEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		r := s.repo.releases[n*53%len(s.repo.releases)]
		took, ok, err := s.edit(context.WithoutCancel(ctx), r)
		if err != nil {
			return fmt.Errorf("editing %s: %w", r.Name, err)
		}
		if !ok {
			return fmt.Errorf("an edited field of %s is not undone within %s", r.Name, undone)
		}
		s.mu.Lock()
		s.drifts = append(s.drifts, took)
		s.undone++
		s.mu.Unlock()
	}
}

// applied takes the promotions that are done from those that are waited for.
func (s *soak) applied() (all []time.Duration, err error) {
	left := s.waiting[:0]
	for _, a := range s.waiting {
		if at := s.davit.at(a.release, a.hash); !at.applied.IsZero() {
			all = append(all, at.applied.Sub(a.at))
		} else if left = append(left, a); time.Since(a.at) > lateAfter {
			err = fmt.Errorf("%s of commit %s is not applied after %s", a.release, a.hash, lateAfter)
		}
	}
	s.waiting = left
	return all, err
}

// heap is the file for a profile of the controller's heap, where it is time for one.
func (s *soak) heap(after time.Duration) string {
	if s.profiles == "" || after < s.nextHeap {
		return ""
	}
	s.nextHeap = after + heapEvery
	return filepath.Join(s.profiles, fmt.Sprintf("heap-%05.0f.pprof", after.Seconds()))
}

func (s *soak) look(after time.Duration) error {
	u, err := s.davit.usage(s.heap(after))
	if err != nil {
		return err
	}
	l := look{usage: u}
	if l.latency, err = s.applied(); err != nil {
		return err
	}
	s.mu.Lock()
	l.drifts, s.drifts = s.drifts, nil
	s.mu.Unlock()
	s.seen = append(s.seen, l)
	fmt.Printf("%.0f\t%d\t%s / %s\t%s\t%.1f\t%.1f\t%d\n", after.Seconds(), s.commits,
		milliseconds(results.Percentile(l.latency, 50)), milliseconds(results.Percentile(l.latency, 99)), milliseconds(results.Percentile(l.drifts, 50)),
		float64(u.RSS)/(1<<20), float64(u.HeapLive)/(1<<20), u.Goroutines)
	return nil
}
