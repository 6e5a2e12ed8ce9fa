package web

import (
	"errors"
	"strconv"
	"time"

	"github.com/davit-dev/davit/reconciler/fleet"
)

func timelineView(f *fleet.Fleet) view {
	return view{
		Name: "timeline", Path: "/timeline", Title: "Timeline", summary: "Commits of the branch, newest first, with what each changed and what came of it",
		data: &fleet.Timeline{},
		params: []param{
			{"environment", "name of an environment"}, {"release", "name of a release, or environment/release"}, {"model", "name of a model"},
			{"author", "part of the name or address of who wrote or merged"},
			{"outcome", "trouble (Failed or RolledBack), or an outcome: Failed, RolledBack, Held, Pinned, Waiting, Progressing, Healthy, Superseded"},
			{"since", "from when on: 12h or 30d ago, 2026-03-31 or 2026-03-31T23:59:00Z"}, {"until", "until when, in the same words"},
			{"commit", "one to tell in full: its hash, or seven digits of it"},
			{"from", "how many commits to leave out"}, {"limit", "how many commits to tell: 50 when absent, 1000 at most"},
		},
		load: func(q *request) (any, error) { return timeline(f, q) },
	}
}

func timeline(f *fleet.Fleet, q *request) (any, error) {
	query := fleet.TimelineQuery{
		Environment: q.query.Get("environment"), Release: q.query.Get("release"), Model: q.query.Get("model"), Author: q.query.Get("author"),
		Outcome: q.query.Get("outcome"), Commit: q.query.Get("commit"),
	}
	var err error
	now := time.Now()
	if query.Since, err = q.time("since", now, false); err != nil {
		return nil, err
	}
	if query.Until, err = q.time("until", now, true); err != nil {
		return nil, err
	}
	if query.From, err = q.number("from"); err != nil {
		return nil, err
	}
	if query.Limit, err = q.number("limit"); err != nil {
		return nil, err
	}
	data, err := f.Timeline(q.Context, q.viewer, q.registry, query)
	return orNil(data), err
}

// time is a parameter that is a time, or how long ago one is; zero when it is absent. A day without a time is its beginning
// or, late, its end.
func (q *request) time(name string, now time.Time, late bool) (time.Time, error) {
	text := q.query.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	if span, ok := ago(text); ok {
		return now.Add(-span), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", "2006-01-02 15:04"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		if late {
			t = t.Add(24*time.Hour - time.Second)
		}
		return t, nil
	}
	return time.Time{}, wrongQuery{errors.New(name + " is no time: " + strconv.Quote(text) + "; write 12h, 30d, 2026-03-31 or 2026-03-31T23:59:00Z")}
}

// ago reads 90m, 12h, 30d.
func ago(text string) (time.Duration, bool) {
	const longest = 36500 // days
	if n := len(text) - 1; n > 0 && text[n] == 'd' {
		days, err := strconv.Atoi(text[:n])
		return time.Duration(days) * 24 * time.Hour, err == nil && days >= 0 && days <= longest
	}
	span, err := time.ParseDuration(text)
	return span, err == nil && span >= 0
}
