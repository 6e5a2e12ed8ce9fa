package reconciler_test

import (
	"slices"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// settle is how a release comes to stand when davit has seen all that is followed and has come to rest.
func (m *model) settle(s stands, key string) stands {
	tip := m.commits[m.followed[environment(key)]]
	if tip == nil {
		return s
	}
	asked := tip.asks[key]
	if s.suspended && m.wrong != "suspension" {
		return s
	}
	was := s.live
	if s.live = (edits{}); m.wrong == "drift" {
		s.live = was
	}
	if s.pin != nil {
		ended, known := m.changed(key, s.pin.tip, tip.hash)
		if !known || !ended {
			return m.goTo(s, key, tip)
		}
		m.unpin(&s)
	}
	switch {
	case asked == nil:
		if !s.there || m.guarded(tip) || tip.broken[environment(key)] || m.succeeded(key, tip) {
			s.live = was // nobody asks for it any more
			return s
		}
		gone := stands{events: s.events}
		if s.serves != nil {
			m.after(&gone, reconciler.Removed, s.serves.version, "")
		} else {
			m.after(&gone, reconciler.Removed, "", "")
		}
		return gone
	case asked.faulty:
		return m.rest(s)
	}
	if s.held != nil {
		ended, known := m.changed(key, s.heldAt, tip.hash)
		if m.wrong == "hold" {
			ended = ended || s.heldAt != tip.hash
		}
		if known && !ended && (s.healthy == nil || s.healthy.inputs != asked.inputs) {
			return m.rest(s)
		}
		s.held = nil
	}
	return m.rest(m.try(s, asked, tip.hash))
}

// try is a revision's way to its outcome.
func (m *model) try(s stands, asked *asks, commit string) stands {
	what := asked.fate()
	s.there = true
	s.trying = nil
	if what == well {
		switch {
		case s.serves == nil || *s.serves != asked.serves:
			m.after(&s, v1alpha1.Healthy, asked.version, "")
		case s.phase != v1alpha1.Healthy: // it may be no news of that commit
			m.after(&s, v1alpha1.Healthy, asked.version, "?")
		}
		s.serves, s.healthy, s.phase = &asked.serves, asked, v1alpha1.Healthy
		return s
	}
	sure := ""
	if s.heldAt == commit && commit != "" {
		sure = "?" // it failed before, and what comes twice within a second is one outcome
	}
	m.after(&s, v1alpha1.Failed, asked.version, sure)
	s.held, s.heldAt, s.inGit, s.phase = asked, commit, false, v1alpha1.Failed
	switch {
	case what == crashes:
		s.serves = &asked.serves
	case what == refused && asked.settings: // the ConfigMap is sent before the Deployment, and so something was applied
	case s.healthy != nil && s.serves != nil && *s.serves == s.healthy.serves:
		s.phase = v1alpha1.Held
	}
	return s
}

// rest has what is applied come to its outcome, and what failed go back to what was healthy.
func (m *model) rest(s stands) stands {
	switch {
	case s.trying != nil:
		s.serves = nil
		return m.try(s, s.trying, "")
	case s.phase == v1alpha1.Progressing:
		return m.try(s, s.healthy, "")
	}
	if s.held != nil && s.phase == v1alpha1.Failed && s.healthy != nil {
		s.serves, s.phase = &s.healthy.serves, v1alpha1.RolledBack
		m.after(&s, v1alpha1.RolledBack, s.held.version, "")
	}
	return s
}

// halfway is how a release may stand before its outcome, where a newer commit may meet it: with something applied that has
// none yet, or between its failure and its way back.
func (m *model) halfway(s stands, key string) []stands {
	asked := m.commits[m.followed[environment(key)]].asks[key]
	after := m.settle(s, key)
	if s.suspended || asked == nil || asked.faulty || s.serves != nil && *s.serves == asked.serves {
		return nil
	}
	tried := asked.fate() == well && after.serves != nil && *after.serves == asked.serves
	failed := asked.fate() == crashes && after.held != nil && after.heldAt == m.followed[environment(key)]
	if !tried && !failed {
		return nil
	}
	under := s
	under.there, under.serves, under.trying, under.held, under.pin, under.phase = true, &asked.serves, asked, nil, nil, v1alpha1.Progressing
	if tried {
		return []stands{under}
	}
	return []stands{under, m.try(under, asked, after.heldAt)}
}

// goTo is where a pin leads: to its revision, or nowhere when that can't be had.
func (m *model) goTo(s stands, key string, tip *revision) stands {
	at := m.commits[s.pin.commit]
	to := at.asks[key]
	_, within := m.since(at.hash, tip.hash)
	if to != nil && s.pin.version != "" && s.pin.version != to.version {
		other := *to
		other.version, other.inputs, other.faulty = s.pin.version, other.inputs+s.pin.version, other.slip || !known(s.pin.version)
		to = &other
	}
	if to == nil || to.faulty || !within || environment(key) == "production" && m.signed && at.unsigned && !s.pin.known {
		return m.rest(s)
	}
	s.held = nil
	if s.pin.failed != nil {
		return s
	}
	if to.fate() == well {
		return m.try(s, to, at.hash)
	}
	failed := *s.pin
	failed.failed = to
	s.pin, s.phase = &failed, v1alpha1.Failed
	m.after(&s, v1alpha1.Failed, to.version, "")
	if to.fate() == crashes {
		s.serves = &to.serves
	}
	return s
}

// unpin ends a pin; that what it chose is the branch's again may be told.
func (m *model) unpin(s *stands) {
	switch {
	case s.pin == nil:
	case s.phase == v1alpha1.Healthy:
		m.after(s, v1alpha1.Healthy, s.serves.version, "?")
	case s.pin.failed != nil && s.healthy != nil: // it is as any other now
		s.phase = v1alpha1.Progressing
		if s.serves != nil && *s.serves == s.pin.failed.serves {
			s.trying = s.pin.failed
		}
	}
	s.pin = nil
}

// guarded says that nothing is deleted: a registry without any sound release is a mistake.
func (m *model) guarded(tip *revision) bool {
	for _, a := range tip.asks {
		if !a.faulty {
			return false
		}
	}
	return true
}

// succeeded says that a release which is gone waits for another that may be its new name, and was never healthy.
func (m *model) succeeded(key string, tip *revision) bool {
	for other, a := range tip.asks {
		if environment(other) == environment(key) && !a.faulty && slices.ContainsFunc(m.ways(other), func(s stands) bool { return m.settle(s, other).healthy == nil }) {
			return true
		}
	}
	return false
}
