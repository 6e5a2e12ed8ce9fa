package web

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/davit-dev/davit/reconciler/fleet"
)

// changeNews is one message of the stream of changes. Without releases anything may have changed.
type changeNews struct {
	Releases []string `json:"releases"`
}

// Between two messages there is a pause, in which changes gather: a rollout of a thousand releases is a few messages. What
// nothing changes is told to be alive, so that proxies and browsers keep the connection.
const (
	pause     = 250 * time.Millisecond
	heartbeat = 20 * time.Second
)

// changes streams what changes as server-sent events.
func (p *Page) changes(w http.ResponseWriter, r *http.Request) {
	q, err := p.ask(w, r)
	if err != nil {
		p.refuse(w, err)
		return
	}
	out, err := newStream(w)
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	news := make(chan []fleet.Change)
	go func() {
		_ = p.cfg.Fleet.Changes(ctx, func(all []fleet.Change) error {
			select {
			case news <- all:
			case <-ctx.Done():
				return ctx.Err()
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			return ctx.Err()
		})
	}()
	alive := time.NewTicker(heartbeat)
	defer alive.Stop()
	for {
		text := ": alive\n\n"
		runs := ""
		select {
		case <-ctx.Done():
			return
		case <-alive.C:
			if p.cfg.Away != nil && p.cfg.Away(ctx) != "" {
				return // asked for again, it is found where it is now
			}
		case all := <-news:
			message, concerns := q.news(all)
			if q.runs(all) {
				runs = "event: runs\ndata: {}\n\n"
			}
			if !concerns {
				text = ""
				break
			}
			data, err := json.Marshal(message)
			if err != nil {
				return
			}
			text = "event: change\ndata: " + string(data) + "\n\n"
		}
		if text += runs; text != "" && out.send(text) != nil {
			return
		}
	}
}

// news is what of the changes concerns this user and registry.
func (q *request) news(all []fleet.Change) (message changeNews, concerns bool) {
	message.Releases = []string{}
	anything := len(all) == 0
	for _, c := range all {
		switch {
		case c.Registry != q.registry || c.Runs:
		case c.Release.Name == "":
			anything = true
		case q.viewer.May == nil || q.viewer.May(c.Registry, c.Release.Environment):
			message.Releases = append(message.Releases, c.Release.String())
		}
	}
	if anything {
		message.Releases = []string{}
	}
	return message, anything || len(message.Releases) > 0
}

// runs says that runs of this registry's trainings changed. Which ones is not told.
func (q *request) runs(all []fleet.Change) bool {
	return slices.ContainsFunc(all, func(c fleet.Change) bool { return c.Registry == q.registry && c.Runs })
}
