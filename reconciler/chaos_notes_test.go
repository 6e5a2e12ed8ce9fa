package reconciler_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// end has all that was said in Git looked at, once davit has been able to say it.
func (p *play) end() error {
	p.api.set(false)
	p.host.set(false)
	for range 2 { // the second one tells of what was on its way when the first was killed
		if err := p.start(); err != nil {
			return err
		}
		if err := p.settle(); err != nil || p.brief {
			return err
		}
		if err := p.told(); err != nil {
			return err
		}
		if err := p.stop(); err != nil {
			return err
		}
	}
	noted := map[string][]string{}
	seen := map[string]bool{}
	for _, e := range p.events() {
		if r := p.m.commits[e.Commit.String()]; r == nil {
			return fmt.Errorf("a note on %s, which is no commit of the branch", e.Commit)
		}
		text := fmt.Sprint(e.Release, e.Commit, e.Outcome, e.At)
		if seen[text] {
			return fmt.Errorf("told twice: %+v", e)
		}
		seen[text] = true
		if e.Outcome != string(v1alpha1.Superseded) && e.Outcome != string(v1alpha1.Pinned) {
			noted[e.Release] = append(noted[e.Release], e.Outcome+" "+e.Version)
		}
	}
	for _, key := range p.m.keys() {
		var want []string
		got := noted[key]
		slices.Sort(got)
		for _, s := range p.m.ways(key) {
			want = append(want, s.events)
		}
		if !slices.ContainsFunc(want, func(events string) bool { return tellsOf(events, got) }) {
			return fmt.Errorf("the notes tell of %s\n    %q\n  and must tell\n    %q", key, got, want)
		}
	}
	return nil
}

// tellsOf says whether the lines are the events, but for those that need not be.
func tellsOf(events string, lines []string) bool {
	left := slices.Clone(lines)
	all := strings.FieldsFunc(events, func(r rune) bool { return r == '\n' })
	for _, sure := range []bool{true, false} { // or one that need not be would take the place of one that must
		for _, event := range all {
			event, maybe := strings.CutSuffix(event, "?")
			if maybe == sure {
				continue
			}
			if i := slices.Index(left, event); i >= 0 {
				left = slices.Delete(left, i, i+1)
			} else if sure {
				return false
			}
		}
	}
	return len(left) == 0
}

// told waits until the outcomes in the ModelReleases are in Git.
func (p *play) told() error {
	return p.within("told in Git", func() (string, error) {
		noted := map[string]bool{}
		for _, e := range p.events() {
			noted[fmt.Sprint(e.Release, e.Commit, e.Outcome, e.At.Unix())] = true
		}
		for _, key := range p.m.keys() {
			env, name, _ := strings.Cut(key, "/")
			mr, err := p.cluster.Release(p.t.Context(), p.namespace(env), env, name)
			if err != nil {
				return "", err
			}
			if mr == nil {
				continue
			}
			for _, o := range mr.Status.Outcomes {
				if !noted[fmt.Sprint(key, o.Commit, o.Outcome, o.At.Unix())] {
					return fmt.Sprintf("no note tells that %s was %s at %.12s", key, o.Outcome, o.Commit), nil
				}
			}
		}
		return "", nil
	})
}
