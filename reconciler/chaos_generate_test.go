package reconciler_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// generate makes a script; the same seed, the same one.
func generate(seed uint64, steps int) []string {
	r := rand.New(rand.NewPCG(seed, 0))
	var script []string
	if r.IntN(4) == 0 {
		script = append(script, "signed")
	}
	script = append(script, "settle")
	ends := map[string]string{"stop": "start", "kill": "start", "api down": "api up", "git down": "git up"}
	last := ""
	for len(script) < steps {
		if end := ends[last]; end != "" && r.IntN(3) == 0 { // it does not last
			script, last = append(script, end), ""
			continue
		}
		step := some(r)
		if script = append(script, step); ends[step] != "" {
			last = step
		}
		if r.IntN(3) > 0 {
			script = append(script, "settle")
		}
	}
	return script
}

func one(r *rand.Rand, of ...string) string { return of[r.IntN(len(of))] }

// some is one step, with those more often that lead further.
func some(r *rand.Rand) string {
	switch n := r.IntN(100); {
	case n < 40:
		return commits(r)
	case n < 45:
		return fmt.Sprintf("merge %d %s; %s", r.IntN(3), commits(r), commits(r))
	case n < 52:
		return fmt.Sprint("revert ", r.IntN(4))
	case n < 56:
		return "unsigned " + commits(r)
	case n < 60:
		return one(r, "reset 1", "reset 2", "restore", "accept", "accept")
	case n < 65:
		return strings.TrimSpace(fmt.Sprintf("pin %s %d %s", release(r), r.IntN(4), one(r, "", "", version(r))))
	case n < 74:
		return one(r, "suspend", "unsuspend", "unsuspend", "resume", "resume", "forget") + " " + release(r)
	case n < 82:
		return one(r, fmt.Sprint("edit ", release(r), " ", 3+r.IntN(3)), "delete "+release(r)+" "+one(r, "service", "deployment"))
	case n < 85:
		return one(r, "stranger ", "stray ") + release(r) + " " + one(r, "x", "y")
	case n < 92:
		return one(r, "restart", "restart", "stop", "start", "kill", "kill")
	}
	return one(r, "api down", "git down", "restart")
}

func release(r *rand.Rand) string {
	return one(r, "production/iris", "production/iris", "staging/iris", "production/b", "production/c")
}

func version(r *rand.Rand) string { return one(r, "v1", "v1", "v2", "v2", "v3", "v3", "v4", "v9") }

// commits is a step that commits.
func commits(r *rand.Rand) string {
	switch n := r.IntN(20); {
	case n < 8:
		return "promote " + release(r) + " " + version(r)
	case n < 10:
		return fmt.Sprintf("replicas %s %d", one(r, "iris", "b"), 1+r.IntN(2))
	case n < 11:
		return "touch " + one(r, "iris", "b")
	case n < 13:
		return one(r, "refuse ", "allow ", "allow ") + one(r, "iris", "b")
	case n < 15:
		return one(r, "create production/c "+version(r), "drop "+release(r), "create "+release(r)+" v2")
	case n < 17:
		return one(r, "break ", "mend ", "mend ") + one(r, release(r), release(r), "runtime", "environment production")
	case n < 18:
		return fmt.Sprint("grace ", 1+r.IntN(3))
	case n < 19:
		return one(r, "settings on", "settings off", "tier production gold", "tier production none")
	}
	return one(r, "readme", "tier staging tin")
}

// shrink makes a failing script shorter as long as it fails, and then its steps simpler, until nothing can be left out or
// time is up.
func shrink(script []string, within time.Duration, fails func([]string) bool) []string {
	deadline := time.Now().Add(within)
	for size := max(len(script)/2, 1); ; {
		shorter := false
		for at := 0; at < len(script) && time.Now().Before(deadline); {
			without := append(append([]string{}, script[:at]...), script[min(at+size, len(script)):]...)
			if fails(without) {
				script, shorter = without, true
			} else {
				at += size
			}
		}
		if size == 1 && !shorter {
			break
		}
		size = max(size/2, 1)
		if time.Now().After(deadline) {
			return script
		}
	}
	for i := range script {
		for _, step := range simpler(script[i]) {
			if time.Now().After(deadline) {
				return script
			}
			with := append([]string{}, script...)
			if with[i] = step; fails(with) {
				script = with
				break
			}
		}
	}
	return script
}

// simpler are simpler steps than one, the simplest first.
func simpler(step string) (all []string) {
	verb, rest, _ := strings.Cut(step, " ")
	switch verb {
	case "merge":
		_, steps, _ := strings.Cut(rest, " ")
		for part := range strings.SplitSeq(steps, ";") {
			all = append(all, strings.TrimSpace(part), "merge 0 "+strings.TrimSpace(part))
		}
	case "unsigned":
		all = append(all, rest)
	case "kill", "stop":
		all = append(all, "restart")
	default:
		for _, key := range []string{"production/b", "production/c", "staging/iris"} {
			if strings.Contains(step, key) {
				all = append(all, strings.Replace(step, key, "production/iris", 1))
			}
		}
	}
	return all
}
