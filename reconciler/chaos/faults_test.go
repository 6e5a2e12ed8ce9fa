package chaos_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/reconciler/chaos"
	"github.com/davit-dev/davit/reconciler/cluster"
)

// faultCase is a fault between davit and one of its servers.
type faultCase struct {
	name string
	// at is whose it is, begin has it begin: either by the Fault or by itself.
	at    func(*faultyWorld) *chaos.Proxy
	fault func() chaos.Fault
	begin func(*faultyWorld)
	// end has it end, where begin did more than its proxy has end.
	end func(*faultyWorld)
	// met is how often it was met; its proxy's hits when nil. hits are how often that is before it ends.
	met  func(*faultyWorld) int
	hits int
	// noted says that it has not ended before the outcomes are in Git.
	noted bool
	// more says that it comes in the long form only.
	more bool
	// waits says that v1 serves while it lasts; else v2 may be there by then.
	waits bool
}

func faultyAPI(w *faultyWorld) *chaos.Proxy { return w.api }
func faultyOCI(w *faultyWorld) *chaos.Proxy { return w.oci }
func faultyGit(w *faultyWorld) *chaos.Proxy { return w.git }

// chaosRounds is how many times each fault comes: once for each hundred of DAVIT_CHAOS, and for up to half a minute; once and
// short without it.
func chaosRounds(t *testing.T) (rounds int, long bool) {
	text := os.Getenv("DAVIT_CHAOS")
	if text == "" {
		return 1, false
	}
	rounds, err := strconv.Atoi(text)
	if err != nil || rounds < 1 {
		t.Fatalf("DAVIT_CHAOS=%s is not a number of rounds", text)
	}
	return max(1, rounds/100), true
}

// TestChaosFaults promotes a version under each fault. While it lasts nothing is lost, doubled or moved that it does not
// concern; after it both environments are at the version by themselves, from images that davit signed, and what was held is
// held.
func TestChaosFaults(t *testing.T) {
	rounds, long := chaosRounds(t)
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // client-go's words on watches that end
	dev, names := faultyCluster(t), newFaultyNames(t)
	table := &faultTable{}
	t.Run("of", func(t *testing.T) {
		t.Run("leaders", func(t *testing.T) {
			t.Parallel()
			newLeaders(newFaultyWorld(t, dev, names)).cases(rounds, long, table)
		})
		for name, cases := range faultCases {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var edits []func(*faultyWorld)
				if name == "OCI registry" {
					edits = append(edits, ownRegistry)
				}
				w := newFaultyWorld(t, dev, names, edits...)
				g := w.begins()
				for range rounds {
					for _, i := range rand.Perm(len(cases)) {
						lasts := time.Duration(0)
						if long {
							lasts = time.Duration(1+rand.IntN(30)) * time.Second
						}
						c := cases[i]
						if c.more && !long {
							continue
						}
						well := t.Run(c.name, func(t *testing.T) {
							w.in(t)
							g = c.run(w, g, lasts, table, name)
						})
						if w.in(t); !well {
							return // what is there is not where the next one begins
						}
					}
				}
				w.corrects()
			})
		}
	})
	t.Run("control plane", func(t *testing.T) { serversCases(newFaultyWorld(t, dev, names), rounds, long, table) })
	table.log(t)
}

func faultyCluster(t *testing.T) *devcluster.Cluster {
	t.Helper()
	dev, err := devcluster.Start(t.Context(), devcluster.Config{Nodes: 1, Registry: true, Stages: []string{"../testdata/crash-v3.yaml"}, Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dev.Stop(); err != nil {
			t.Error(err)
		}
	})
	config, err := clientcmd.BuildConfigFromFlags("", dev.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.New(t.Context(), cluster.Config{REST: config})
	if err == nil {
		_, err = c.Install(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// begins has a davit run, which finds iris at v1, and production/held, which goes back from v3.
func (w *faultyWorld) begins() goal {
	w.t.Helper()
	first := w.run("git", "rev-parse", "HEAD")
	w.runs()
	w.until(func() string { return w.missing(goal{iris: "v1", irisCommit: first}) })
	w.edit("releases/held/production.yaml", "version: v1", "version: v3")
	g := goal{"v1", first, w.commit("the damaged v3")}
	w.until(func() string { return w.missing(g) })
	w.noted(first, "production/held v1 Healthy", "production/iris v1 Healthy", "staging/iris v1 Healthy")
	return g
}

// run has the fault come before a promotion, and end lasts later, when it was met often enough. It gives the goal that was
// come to.
func (c *faultCase) run(w *faultyWorld, before goal, lasts time.Duration, table *faultTable, of string) (g goal) {
	w.t.Helper()
	generation := w.deployments("production")["iris"].Generation
	began, at := time.Now(), c.at(w)
	met := func() int { return at.Hits() }
	if c.met != nil {
		met = func() int { return c.met(w) }
	}
	if c.fault != nil {
		at.Begin(c.fault())
	}
	if c.begin != nil {
		c.begin(w)
	}
	g = w.promoted(before)
	w.until(func() string {
		if hits := met(); hits < c.hits || time.Since(began) < lasts {
			return fmt.Sprintf("%d hits of %d", hits, c.hits)
		}
		return ""
	})
	if got := w.deployments("production")["iris"].Spec.Template.Labels["davit.dev/version"]; c.waits && got != before.iris {
		w.t.Errorf("%s serves under the fault", got)
	}
	hits, lasted, ended := met(), time.Since(began), time.Now()
	at.Begin(nil)
	if c.end != nil {
		c.end(w)
	}
	if w.moved != "" {
		g.irisCommit, w.moved = w.moved, ""
	}
	w.until(func() string { return w.missing(g) })
	if c.noted {
		w.noted(g.irisCommit, "production/iris "+g.iris+" Healthy", "staging/iris "+g.iris+" Healthy")
	}
	recovered := time.Since(ended)
	table.add(of+": "+c.name, hits, lasted, recovered)

	w.intact()
	if got := w.deployments("production")["iris"].Generation; got != generation+1 {
		w.t.Errorf("one promotion made %d generations of the Deployment", got-generation)
	}
	w.noted(g.irisCommit, "production/iris "+g.iris+" Healthy", "staging/iris "+g.iris+" Healthy")
	w.noted(g.held, "production/held v3 Failed", "production/held v3 RolledBack")
	return g
}
