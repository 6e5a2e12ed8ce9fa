package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/fleet"
)

// mostLogs is how many logs are streamed at once: each holds connections to API servers and nodes.
const mostLogs = 20

// A message has the lines of a moment, or as many as that.
const (
	logPause   = 150 * time.Millisecond
	mostBatch  = 500
	longestID  = 16 << 10 // of a place in the log, which comes back as a header
	logRetries = "10"     // seconds until a place may be free
)

// logNews is one message of a run's log.
type logNews struct {
	Lines []fleet.LogLine `json:"lines"`
}

// logs streams a run's log as server-sent events, from the place that Last-Event-ID or the parameter after names. The event
// "end" says that the run ended and all of it was told.
func (p *Page) logs(w http.ResponseWriter, r *http.Request) {
	q, err := p.ask(w, r)
	if err != nil {
		p.refuse(w, err)
		return
	}
	after, err := fleet.ParseCursor(cmp.Or(r.Header.Get("Last-Event-ID"), q.query.Get("after")))
	if err != nil {
		p.refuse(w, wrongQuery{err})
		return
	}
	run := q.PathValue("run")
	environment := p.cfg.Fleet.LogOf(r.Context(), q.viewer, q.registry, run)
	if environment == "" || !q.may(Logs, environment) {
		writeJSON(w, http.StatusNotFound, problem{fleet.ErrNoLog.Error()})
		return
	}
	select {
	case p.streams <- struct{}{}:
		defer func() { <-p.streams }()
	default:
		w.Header().Set("Retry-After", logRetries)
		writeJSON(w, http.StatusServiceUnavailable, problem{"many logs are being read already; try again in a moment"})
		return
	}
	out, err := newStream(w)
	if err != nil {
		return
	}
	p.follow(q, out, environment, run, after)
}

// follow passes on what is written until the run or the request ends.
func (p *Page) follow(q *request, out *stream, environment, run string, after fleet.Cursor) {
	ctx, cancel := context.WithCancel(q.Context)
	defer cancel()
	b := &logBatch{out: out}
	var ticking sync.WaitGroup
	ticking.Go(func() {
		tick := time.NewTicker(logPause)
		defer tick.Stop()
		for alive := time.Now(); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if time.Since(alive) > heartbeat {
				alive = time.Now()
				b.comment()
			}
			if b.flush() != nil {
				cancel()
				return
			}
		}
	})
	err := p.cfg.Fleet.RunLog(ctx, q.viewer, q.registry, environment, run, after, func(l fleet.LogLine, at fleet.Cursor) {
		if b.add(l, at.String()) != nil {
			cancel()
		}
	})
	cancel()
	ticking.Wait()
	switch {
	case q.Context.Err() != nil || b.flush() != nil:
	case err == nil:
		_ = out.send("event: end\ndata: {}\n\n")
	case errors.Is(err, fleet.ErrPartly):
		_ = out.send("event: end\ndata: {\"partly\":true}\n\n")
	case !errors.Is(err, context.Canceled):
		p.cfg.Log.Warn("a log is not read to its end", "run", run, "error", gitops.RedactText(err.Error()))
	}
}

// logBatch gathers lines into messages. It is safe for concurrent use.
type logBatch struct {
	mu    sync.Mutex
	out   *stream
	lines []fleet.LogLine
	at    string
	err   error
}

func (b *logBatch) add(l fleet.LogLine, at string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines, b.at = append(b.lines, l), at
	if len(b.lines) >= mostBatch {
		b.send()
	}
	return b.err
}

func (b *logBatch) flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.lines) > 0 {
		b.send()
	}
	return b.err
}

func (b *logBatch) comment() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = b.out.send(": alive\n\n")
	}
}

// send needs b.mu.
func (b *logBatch) send() {
	data, err := json.Marshal(logNews{b.lines})
	if b.lines = b.lines[:0]; b.err != nil || err != nil {
		b.err = cmp.Or(b.err, err)
		return
	}
	text := "event: lines\ndata: " + string(data) + "\n\n"
	if len(b.at) < longestID {
		text = "id: " + b.at + "\n" + text
	}
	b.err = b.out.send(text)
}
