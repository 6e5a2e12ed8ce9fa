package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
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
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	send := func(text string) error {
		_ = out.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if _, err := fmt.Fprint(w, text); err != nil {
			return err
		}
		return out.Flush()
	}
	if send("retry: 2000\n: hello\n\n") != nil {
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
		select {
		case <-ctx.Done():
			return
		case <-alive.C:
		case all := <-news:
			message, concerns := q.news(all)
			if !concerns {
				continue
			}
			data, err := json.Marshal(message)
			if err != nil {
				return
			}
			text = "event: change\ndata: " + string(data) + "\n\n"
		}
		if send(text) != nil {
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
		case c.Registry != q.registry:
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
