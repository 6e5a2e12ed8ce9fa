package reconciler_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// model says what must be true of each release after what people and Git did: a page of rules beside davit's many. Where
// davit may or may not have seen a commit before the next came, it holds each way a release may stand.
type model struct {
	commits  map[string]*revision
	signed   bool              // production follows signed commits alone
	followed map[string]string // environment -> commit
	tip      string
	may      map[string][]stands // release -> the ways it may stand
	wrong    string              // a mistake that is planted in it, to see that it is found
}

// revision is a commit of the branch.
type revision struct {
	hash, parent string // the first parent
	asks         map[string]*asks
	broken       map[string]bool // environments whose file can't be read
	unsigned     bool
}

// stands is a way for a release to stand.
type stands struct {
	there     bool
	serves    *serves // nil: nothing of it is applied
	healthy   *asks
	trying    *asks // is applied and has no outcome yet
	held      *asks
	heldAt    string // the commit by which it was
	inGit     bool   // only Git tells of it
	pin       *pinned
	suspended bool
	phase     v1alpha1.Phase
	live      edits
	events    string // lines of outcome and version; a question mark behind those that need not be
}

type pinned struct {
	commit, version, tip string
	failed               *asks // what it chose, when that failed
	known                bool  // its commit is what is applied or healthy
}

// edits are what people did to objects that davit may not correct.
type edits struct {
	replicas            int
	deployment, service bool // deleted
}

func newModel() *model {
	return &model{commits: map[string]*revision{}, followed: map[string]string{}, may: map[string][]stands{}}
}

func (m *model) after(s *stands, outcome v1alpha1.Phase, version, sure string) {
	s.events += fmt.Sprintf("%s %s%s\n", outcome, version, sure)
}

// committed takes note of a commit that is the branch's tip now; davit may see it before the next one, or not.
func (m *model) committed(r *revision) {
	m.commits[r.hash] = r
	m.tip = r.hash
	if !m.follow() {
		return
	}
	for _, key := range m.keys() {
		var ways []stands
		for _, s := range m.ways(key) {
			ways = append(ways, s, m.settle(s, key))
			ways = append(ways, m.halfway(s, key)...)
		}
		m.may[key] = distinct(ways)
	}
}

// follow moves each environment to the tip, unless the branch was rewritten; production stays where it is signed.
func (m *model) follow() bool {
	if m.rewritten() {
		return false
	}
	for _, env := range []string{"staging", "production"} {
		if env != "production" || !m.signed || !m.commits[m.tip].unsigned {
			m.followed[env] = m.tip
		}
	}
	return true
}

func (m *model) rewritten() bool {
	for _, commit := range m.followed {
		if _, ok := m.since(commit, m.tip); !ok {
			return true
		}
	}
	return false
}

// since lists the commits after one, up to another; ok is false when that does not come after it.
func (m *model) since(from, to string) (all []*revision, ok bool) {
	for at := m.commits[to]; at != nil; at = m.commits[at.parent] {
		if at.hash == from {
			return all, true
		}
		all = append(all, at)
	}
	return all, false
}

// changed says whether a commit after one changed a release's own files.
func (m *model) changed(key, from, to string) (changed, known bool) {
	all, known := m.since(from, to)
	return slices.ContainsFunc(all, func(r *revision) bool {
		before := map[string]*asks{}
		if parent := m.commits[r.parent]; parent != nil {
			before = parent.asks
		}
		return own(r.asks[key]) != own(before[key])
	}), known
}

func own(a *asks) string {
	if a == nil {
		return ""
	}
	return a.own
}

func (m *model) keys() []string {
	keys := map[string]bool{}
	for _, r := range m.commits {
		for key := range r.asks {
			keys[key] = true
		}
	}
	return slices.Sorted(maps.Keys(keys))
}

func (m *model) ways(key string) []stands {
	if ways := m.may[key]; len(ways) > 0 {
		return ways
	}
	return []stands{{}}
}

func environment(key string) string { env, _, _ := strings.Cut(key, "/"); return env }

// settled has every release come to rest at what is followed.
func (m *model) settled() {
	for _, key := range m.keys() {
		var ways []stands
		for _, s := range m.ways(key) {
			ways = append(ways, m.settle(s, key))
		}
		m.may[key] = distinct(ways)
	}
}

// each changes every way a release may stand.
func (m *model) each(key string, change func(*stands)) {
	ways := slices.Clone(m.ways(key))
	for i := range ways {
		change(&ways[i])
	}
	m.may[key] = distinct(ways)
}

func distinct(ways []stands) (out []stands) {
	seen := map[string]bool{}
	for _, s := range ways {
		lines := strings.Split(s.events, "\n")
		slices.Sort(lines)
		text := fmt.Sprint(s.line(), s.serves, s.trying, s.heldAt, s.healthy, s.pin, s.live, lines)
		if !seen[text] {
			seen[text] = true
			out = append(out, s)
		}
	}
	return out
}

// accept has the rewritten branch followed.
func (m *model) accept() {
	for env := range m.followed {
		delete(m.followed, env)
	}
	m.follow()
	m.settled()
}

// forget is a ModelRelease that a person deletes. What failed, and what a person turned away from, is in Git.
func (m *model) forget(key string) {
	m.each(key, func(s *stands) {
		was := *s
		*s = stands{events: was.events, serves: was.serves}
		if was.held != nil && was.healthy != nil {
			s.there, s.held, s.inGit, s.heldAt, s.healthy, s.phase = true, was.held, true, was.heldAt, was.healthy, v1alpha1.RolledBack
			m.after(s, v1alpha1.RolledBack, was.held.version, "")
		}
	})
}

func (m *model) asked(key, verb string, pin *pinned) {
	m.each(key, func(s *stands) {
		switch verb {
		case "pin":
			s.pin = pin
		case "suspend":
			s.suspended = true
		case "unsuspend":
			s.suspended = false
		case "resume":
			m.unpin(s)
			s.suspended, s.held = false, nil
		}
	})
}

// touched is an object that a person changed.
func (m *model) touched(key, verb, what string) {
	m.each(key, func(s *stands) {
		switch {
		case verb == "edit":
			s.live.replicas = count(what)
		case what == "service":
			s.live.service = true
		case what == "deployment":
			s.live.deployment = true
		}
	})
}
