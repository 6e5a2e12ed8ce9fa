package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/examples/scale/generate"
	"github.com/davit-dev/davit/examples/scale/results"
)

// bench is one run.
type bench struct {
	counts   []int
	layout   generate.Layout
	short    bool
	podsUpTo int
	out      string
	profiles string

	results results.Results
	writes  []releaseWrites // what a first sync wrote, for the peers
	synced  time.Duration   // how long it took to the last object
}

// peerReleases is how many releases the plain writes are measured with.
const peerReleases = 1000

func (b *bench) run(ctx context.Context) error {
	b.results.Date, b.results.Machine = time.Now(), results.ThisMachine(devcluster.KubernetesVersion)
	b.results.Notes = b.notes()
	for _, n := range b.counts {
		if err := b.scale(ctx, n); err != nil {
			return errors.Join(fmt.Errorf("%d releases: %w", n, err), b.results.Write(b.out))
		}
		if err := b.results.Write(b.out); err != nil { // a later step may take long, or fail
			return err
		}
	}
	if err := b.peers(ctx); err != nil {
		return errors.Join(err, b.results.Write(b.out))
	}
	fmt.Fprint(os.Stdout, b.results.Markdown())
	return b.results.Write(b.out)
}

// options are the registry of n releases.
func (b *bench) options(n int) generate.Options {
	o := generate.Options{Releases: n, Layout: b.layout, Replicas: 1}
	if n > b.podsUpTo {
		o.Replicas = 0
	}
	return o
}

// scale is everything at one number of releases, in one cluster.
func (b *bench) scale(ctx context.Context, n int) (err error) {
	w, err := newWorld(ctx, b.options(n))
	defer func() { err = errors.Join(err, w.close()) }()
	if err != nil {
		return err
	}
	w.profiles = b.profiles
	m := &measure{world: w, bench: b, n: n}
	if n > b.podsUpTo {
		b.results.Notes = append(b.results.Notes, fmt.Sprintf("**No pods** at %d releases: the Deployments have no replicas.", n))
	}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"first sync", m.firstSync},
		{"promotions", m.promotions},
		{"many promotions in one commit", m.hundred},
		{"a commit that changes nothing", m.nothing},
		{"one failing among many", m.failing},
		{"drift", m.drift},
		{"restart", m.restart},
		{"the web page", m.page},
	} {
		if err := w.quiet(ctx, 5*time.Minute); err != nil {
			return err
		}
		say("%d releases: %s", n, step.what)
		began := w.load()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w%s", step.what, err, w.logTail())
		}
		b.disturbed(fmt.Sprintf("%d releases, %s", n, step.what), w.others(began))
	}
	return nil
}

// disturbed notes a step during which something else had a good part of the machine.
func (b *bench) disturbed(what string, percent float64) {
	if percent >= 5 {
		b.results.Notes = append(b.results.Notes, fmt.Sprintf("**Disturbed**: %s: other processes used %.0f%% of the machine.", what, percent))
	}
}

// pickCount is how often something is repeated.
func (b *bench) pickCount(long, short int) int {
	if b.short {
		return short
	}
	return long
}

func (b *bench) notes() []string {
	notes := []string{
		fmt.Sprintf("Layout `%s`; each release is a ServiceAccount, a ConfigMap, a Deployment and a Service, and a ModelRelease of davit's. Pods are simulated; the bake time is 1 s and there is no smoke test.", b.layout),
		"The Services are headless. The API server counts all its cluster IPs anew for each it gives away: with 8,000 Services the next took 0.8 s, and nothing else would have been measured.",
		"There is one model for each team (ten releases, at most 100 teams), with versions of some 30 bytes: building their images takes part in the first sync and does not swamp it. Promotions find the image in the OCI registry unless the row says otherwise.",
		"The time of a commit begins when its ref is written, which is before `git commit` returns, and ends when the API server has answered the release's last apply. A first sync's begins with the start of the process.",
		"Percentiles are by nearest rank, so that p99 of fewer than 100 is the slowest.",
		"Each number of releases, and each peer, has a fresh cluster. Renderings are not counted: nothing tells of them from outside.",
	}
	if b.short {
		notes = append(notes, "This was a short run: too few repetitions to judge by.")
	}
	return notes
}

// measure is one number of releases being measured.
type measure struct {
	*world
	bench *bench
	n     int
}

// add adds a row; held is nil where there is no target.
func (m *measure) add(what, target string, held *bool, values map[string]float64, format string, args ...any) {
	row := results.Row{Releases: m.n, What: what, Target: target, Measured: fmt.Sprintf(format, args...), Held: held, Values: values}
	say("%d releases: %s: %s", m.n, what, row.Measured)
	m.bench.results.Add(row)
}
