package reconciler_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// line is how a release stands, as far as it is to be seen.
func (s stands) line() string {
	if !s.there {
		return "not there"
	}
	text := string(s.phase)
	if s.healthy != nil {
		text += ", was healthy at " + s.healthy.version
	}
	if s.held != nil {
		why := string(s.held.fate())
		if s.inGit {
			why = "what Git tells"
		}
		text += fmt.Sprintf(", %s is held by %s", s.held.version, why)
	}
	if s.pin != nil {
		text += ", pinned"
	}
	if s.suspended {
		text += ", suspended"
	}
	return text
}

// objects are those that a release must have.
func (s stands) objects(name string) (all []string) {
	if s.serves == nil {
		return nil
	}
	if o := *s.serves; !s.live.deployment {
		all = append(all, deployment(name, o.version, cmp.Or(s.live.replicas, o.replicas), o.grace, o.tier))
	}
	if !s.live.service {
		all = append(all, "Service "+name)
	}
	if s.serves.settings {
		all = append(all, "ConfigMap "+name+"-settings")
	}
	slices.Sort(all)
	return all
}

func deployment(name, version string, replicas, grace int, tier string) string {
	return fmt.Sprintf("Deployment %s %s replicas=%d grace=%d tier=%s", name, version, replicas, grace, tier)
}

// settle waits until davit has come to rest as the model says, and says what is not so.
func (p *play) settle() error {
	p.t.Helper()
	if !p.up() {
		return nil
	}
	p.m.settled()
	once := false
	err := p.within("as the model says", func() (string, error) {
		if text := p.busy(); text != "" {
			once = false
			return text, nil
		}
		all, err := p.look()
		if err != nil {
			return "", err
		}
		text := p.missed(all)
		if text == "" && !once { // what is undone a moment later is not so
			once = true
			return "looked at once", nil
		}
		once = text == ""
		return text, nil
	})
	p.clean = err == nil
	return err
}

// busy says what keeps davit from being at rest.
func (p *play) busy() string {
	p.davit.mu.Lock()
	heard := p.davit.heard
	p.davit.mu.Unlock()
	if heard.String() != p.m.tip {
		return fmt.Sprintf("davit has not heard of %.12s", p.m.tip)
	}
	select {
	case <-p.davit.Settled():
		return ""
	case <-time.After(100 * time.Millisecond):
		return fmt.Sprint("not settled: ", p.davit.Unwell())
	}
}

// missed compares what there is with what must be, and keeps of the ways a release may stand those that it does.
func (p *play) missed(all map[string]live) string {
	var wrong []string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		got := all[key]
		if key == "beside" {
			continue
		}
		_, name, _ := strings.Cut(key, "/")
		var ways []stands
		var want []string
		for _, s := range p.m.ways(key) {
			if s.line() == got.line() && slices.Equal(s.objects(name), got.objects) {
				ways = append(ways, s)
			}
			want = append(want, fmt.Sprintf("%s %q", s.line(), s.objects(name)))
		}
		switch text := p.untrue(key, got); {
		case len(ways) == 0:
			slices.Sort(want)
			wrong = append(wrong, fmt.Sprintf("%s is\n    %s %q%s\n  and must be\n    %s", key, got.line(), got.objects, got.told(), strings.Join(slices.Compact(want), "\n  or\n    ")))
		case got.pending():
			wrong = append(wrong, fmt.Sprintf("%s, which is %s, is pending: %+v%s", key, got.line(), got.Spec.Claim, got.told()))
		case text != "":
			wrong = append(wrong, key+": "+text)
		default:
			p.m.may[key] = ways
		}
	}
	for what, stays := range p.beside {
		if stays && !slices.Contains(all["beside"].objects, what) {
			wrong = append(wrong, what+" is gone")
		}
	}
	return strings.Join(wrong, "\n")
}

// untrue is what a status tells of commits that is not in them.
func (p *play) untrue(key string, l live) string {
	if l.ModelRelease == nil {
		return ""
	}
	st := l.Status
	for what, rev := range map[string]v1alpha1.Revision{"applied": st.Applied, "healthy": st.Healthy} {
		if rev.Commit == "" {
			continue
		}
		r := p.m.commits[rev.Commit]
		if r == nil || r.asks[key] == nil {
			return fmt.Sprintf("%s at %.12s, where it is not", what, rev.Commit)
		}
		if asked := r.asks[key].version; asked != rev.Version && l.Spec.Pin == nil && !slices.ContainsFunc(st.Outcomes, func(o v1alpha1.Outcome) bool { return o.Outcome == v1alpha1.Pinned }) {
			return fmt.Sprintf("%s is %s at %.12s, which asks for %s", what, rev.Version, rev.Commit, asked)
		}
	}
	if st.Held != nil {
		r := p.m.commits[st.Held.Commit]
		if r == nil || r.asks[key] == nil || r.asks[key].version != st.Held.Version || r.asks[key].fate() == well {
			return fmt.Sprintf("%.12s is held, which asks for nothing that fails", st.Held.Commit)
		}
	}
	return ""
}

// within polls until nothing is missed, or the same has been for as long as davit may take.
func (p *play) within(what string, look func() (missed string, err error)) error {
	p.t.Helper()
	began, since, last := time.Now(), time.Now(), ""
	for ; ; time.Sleep(50 * time.Millisecond) {
		missed, err := look()
		if err != nil {
			return err
		}
		if missed == "" {
			return nil
		}
		if missed != last {
			last, since = missed, time.Now()
		}
		if time.Since(since) > p.patience || time.Since(began) > 6*p.patience {
			return fmt.Errorf("not %s, after %v:\n%s", what, time.Since(began).Round(time.Second), missed)
		}
	}
}
