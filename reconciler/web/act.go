package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// act is one thing that can be asked for of a release.
type act struct {
	name, summary string
	verb          Verb
	params        []param
	do            func(ctx context.Context, p *Page, q *request, by User) (said string, err error)
}

// acts is the table of all there is to do.
func acts() []act {
	reason := param{"reason", "why, in at most 1000 bytes"}
	return []act{
		{
			name: "promote", summary: "Propose that the release gets the version that serves in another environment", verb: Propose,
			params: []param{{"from", "the environment that has the version"}, reason},
			do: func(ctx context.Context, p *Page, q *request, by User) (string, error) {
				where, err := p.cfg.Actions.Promote(ctx, by, q.registry, q.key(), q.Form.Get("from"), q.Form.Get("reason"))
				return "Proposed: " + where, err
			},
		},
		{
			name: "rollback", summary: "Propose that the release goes back to a version", verb: Propose,
			params: []param{{"version", "the version to go back to"}, reason},
			do: func(ctx context.Context, p *Page, q *request, by User) (string, error) {
				if strings.TrimSpace(q.Form.Get("reason")) == "" {
					return "", wrongQuery{errors.New("say why: a reason stands in the commit")}
				}
				where, err := p.cfg.Actions.Rollback(ctx, by, q.registry, q.key(), q.Form.Get("version"), q.Form.Get("reason"))
				return "Proposed: " + where, err
			},
		},
		{
			name: "suspend", summary: "Leave the release as it is: nothing is applied, corrected or rolled back", verb: Suspend,
			params: []param{{"for", "how long, such as 4h; until it is resumed when absent"}, reason},
			do: func(ctx context.Context, p *Page, q *request, by User) (string, error) {
				var span time.Duration
				if text := q.Form.Get("for"); text != "" {
					var err error
					if span, err = time.ParseDuration(text); err != nil || span <= 0 {
						return "", wrongQuery{fmt.Errorf("%q is no time; write 4h, or nothing for no end", text)}
					}
				}
				return "Suspended.", p.cfg.Actions.Suspend(ctx, by, q.registry, q.key(), span, q.Form.Get("reason"))
			},
		},
		{
			name: "resume", summary: "End a suspension, a hold and a pin: what the branch asks for is applied", verb: Suspend,
			do: func(ctx context.Context, p *Page, q *request, by User) (string, error) {
				return "Resumed.", p.cfg.Actions.Resume(ctx, by, q.registry, q.key())
			},
		},
	}
}

// Bounds of what a form may hold.
const (
	mostForm   = 16 << 10
	mostReason = 1000
)

// answered is what came of an act.
type answered struct {
	Said string `json:"said"`
}

// done is what a person sees of it.
type done struct {
	Said, Trouble, Back string
}

// form does what a page's form asks for, and tells what came of it as a page.
func (p *Page) form(a act) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, err := p.ask(w, r)
		if err != nil {
			p.failed(w, r, err)
			return
		}
		status, said, err := p.act(w, q, a)
		d := done{Said: said, Back: path(q.registry, "releases", q.PathValue("environment"), q.PathValue("release"))}
		title := "Done"
		if err != nil {
			d.Trouble, title = err.Error(), "Not done"
		}
		p.render(w, "done", status, p.shown(q, title+" · "+q.key().String(), "", d))
	}
}

// call does the same for whoever calls the API.
func (p *Page) call(a act) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, err := p.ask(w, r)
		if err != nil {
			p.refuse(w, err)
			return
		}
		status, said, err := p.act(w, q, a)
		if err != nil {
			writeJSON(w, status, problem{err.Error()})
			return
		}
		writeJSON(w, status, answered{said})
	}
}

// act does it, where the user may. An error's words are for that user: what a forge or a cluster says of an act that was
// asked for is what has to be mended.
func (p *Page) act(w http.ResponseWriter, q *request, a act) (status int, said string, err error) {
	key := q.key()
	switch {
	case q.viewer.May != nil && !q.viewer.May(q.registry, key.Environment) || p.cfg.Fleet.Acts(q.viewer, q.registry, key) == nil:
		return http.StatusNotFound, "", errors.New("there is no such release, or it is not yours to see")
	case p.cfg.Actions == nil:
		return http.StatusForbidden, "", errors.New("this page only shows; the release's page has the commands")
	case !q.may(a.verb, key.Environment):
		return http.StatusForbidden, "", fmt.Errorf("you may not %s releases in %s; a Role with the verb for modelreleases.davit.dev there allows it", a.name, key.Environment)
	}
	if err := q.readForm(w, a); err != nil {
		return http.StatusBadRequest, "", err
	}
	by := p.cfg.Local
	if q.user != nil {
		by = *q.user
	}
	ctx, cancel := context.WithTimeout(q.Context, time.Minute)
	defer cancel()
	said, err = a.do(ctx, p, q, by)
	switch {
	case errors.As(err, new(wrongQuery)):
		return http.StatusBadRequest, "", err
	case err != nil:
		p.cfg.Log.Warn("act not done", "act", a.name, "release", key.String(), "user", by.Name, "error", err)
		return http.StatusConflict, "", err
	}
	p.cfg.Log.Info("act done for a person", "act", a.name, "release", key.String(), "user", by.Name)
	return http.StatusOK, said, nil
}

// readForm takes the parameters of a form, or of JSON.
func (q *request) readForm(w http.ResponseWriter, a act) error {
	body := http.MaxBytesReader(w, q.Body, mostForm)
	kind, _, _ := mime.ParseMediaType(q.Header.Get("Content-Type"))
	switch kind {
	case "application/json":
		values := map[string]string{}
		d := json.NewDecoder(body)
		if err := d.Decode(&values); err != nil && !errors.Is(err, io.EOF) {
			return errors.New("the body is no JSON object of texts")
		}
		q.Form = map[string][]string{}
		for k, v := range values {
			q.Form.Set(k, v)
		}
	case "application/x-www-form-urlencoded", "":
		q.Body = body
		if err := q.ParseForm(); err != nil {
			return errors.New("the form can't be read, or is too large")
		}
		q.Form = q.PostForm
	default:
		return fmt.Errorf("a body is application/json or application/x-www-form-urlencoded, not %s", kind)
	}
	for name, values := range q.Form {
		if len(values[0]) > mostReason || !utf8.ValidString(values[0]) {
			return fmt.Errorf("%s has more than %d bytes, or is no text", name, mostReason)
		}
	}
	return nil
}
