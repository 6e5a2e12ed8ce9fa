package chaos_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// crashReport counts what was tried and what was found.
type crashReport struct {
	kills, rounds int
	rested        []time.Duration // how long that took after the last start
	points        map[string]int
	checked       map[string]int
	violations    []string
}

func (r *crashReport) check(invariant, after, why string) {
	if why == "" {
		r.checked[invariant]++
	} else {
		r.violations = append(r.violations, fmt.Sprintf("%s, after %s: %s", invariant, after, why))
	}
}

func (r *crashReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d kills in %d rounds, %d named points, %d violations\n", r.kills, r.rounds, len(r.points), len(r.violations))
	if rested := slices.Sorted(slices.Values(r.rested)); len(rested) > 0 {
		fmt.Fprintf(&b, "  at rest after the last start: median %s, longest %s\n", rested[len(rested)/2].Round(time.Millisecond), rested[len(rested)-1].Round(time.Millisecond))
	}
	for _, point := range slices.Sorted(maps.Keys(r.points)) {
		fmt.Fprintf(&b, "  %-110s killed %d times\n", point, r.points[point])
	}
	for _, i := range invariants {
		fmt.Fprintf(&b, "  %-60s held %d times\n", i.name, r.checked[i.name])
	}
	for _, v := range r.violations {
		fmt.Fprintf(&b, "  VIOLATION %s\n", v)
	}
	return b.String()
}

// crashKills is how often the controller is killed at random: as DAVIT_CHAOS says, or a few times: all named points are beside it.
func crashKills(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("DAVIT_CHAOS"))
	if os.Getenv("DAVIT_CHAOS") != "" && (err != nil || n < 1) {
		t.Fatalf("DAVIT_CHAOS=%s is no number of kills", os.Getenv("DAVIT_CHAOS"))
	}
	if n == 0 {
		return 10
	}
	return n
}

// TestChaosCrash kills a controller with SIGKILL, starts it anew, and asks for the invariants when it has come to rest.
func TestChaosCrash(t *testing.T) {
	w := newCrashWorld(t)
	w.begin()
	report := &crashReport{points: map[string]int{}, checked: map[string]int{}}
	t.Cleanup(func() { t.Logf("\n%s", report) })
	w.start()
	w.rests(report, "the first start")
	part := func(name string, run func()) {
		defer func() { w.t = t }()
		t.Run(name, func(t *testing.T) {
			if w.t = t; len(report.violations) > 0 {
				t.Skip("what comes after a violation tells nothing")
			}
			run()
		})
	}
	keys := w.added(report, os.Getenv("DAVIT_CHAOS") == "")
	for i, way := range crashWays {
		part("points of "+way.name, func() { w.atPoints(report, way, keys[i]) })
	}
	part("random moments", func() { w.atRandom(report, crashKills(t)) })
}

// longest is the time after its start at which a controller is killed at the latest: one that has all to do again is done by then.
const longest = 2 * time.Second

// atRandom kills so many times, at moments that nobody chose.
func (w *crashWorld) atRandom(report *crashReport, kills int) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	w.t.Logf("seed %d", seed)
	for kills > 0 {
		what := w.changes(random)
		w.model.commits(w.commit(what))
		for range 1 + random.IntN(5) {
			moment := time.Duration(random.Int64N(int64(longest)))
			time.Sleep(moment) // the moment is what this is about
			w.kill()
			kills--
			report.kills++
			what += " / " + moment.Round(time.Millisecond).String()
			w.start()
		}
		report.rounds++
		began := time.Now()
		w.rests(report, what)
		report.rested = append(report.rested, time.Since(began))
		w.t.Logf("%s: at rest after %s", what, time.Since(began).Round(time.Millisecond))
	}
}

// changes makes one to four changes, each of another release, and says which.
func (w *crashWorld) changes(random *rand.Rand) string {
	var said []string
	say := func(words ...string) { said = append(said, strings.Join(words, " ")) }
	keys := slices.Sorted(maps.Keys(w.model.releases))
	random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	other := func(than string) string {
		if than == "v1" {
			return "v2"
		}
		return "v1"
	}
	for _, key := range keys[:min(len(keys), 1+random.IntN(2))] {
		r := w.model.releases[key]
		switch n := random.IntN(5); {
		case r.held():
			w.promote(key, other(r.serves))
		case n == 0:
			w.promote(key, "v3")
		case n == 1:
			w.promote(key, w.version(64<<10))
		case n == 2 && !strings.HasSuffix(key, "/iris"):
			w.remove(key)
			say("remove", key)
			continue
		default:
			w.promote(key, other(r.asked))
		}
		say(key, "to", r.asked)
	}
	if random.IntN(3) == 0 {
		say("add", w.add([]string{"v1", "v2"}[random.IntN(2)]))
	}
	if random.IntN(3) == 0 {
		w.train()
		say("train")
	}
	return strings.Join(said, ", ")
}
