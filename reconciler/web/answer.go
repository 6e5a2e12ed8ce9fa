package web

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/davit-dev/davit/gitops"
)

// shown is what a template gets.
type shown struct {
	Title    string
	View     string // the name of the view that is reached from everywhere, to which this one belongs
	Registry string
	Tabs     []view
	// Registries are those that are followed, and have an environment that the user may see.
	Registries []string
	User       *User
	Query      map[string]string
	Values     url.Values // the query with all that came again
	Now        time.Time
	Data       any
	// May says whether the user may do what a Verb names in an environment.
	May func(verb, environment string) bool
}

// html answers with a view as a page.
func (p *Page) html(v view) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, err := p.ask(w, r)
		if err != nil {
			p.failed(w, r, err)
			return
		}
		data, err := v.load(q)
		if err != nil {
			p.failed(w, r, err)
			return
		}
		if data == nil {
			p.render(w, "missing", http.StatusNotFound, p.shown(q, "Not here", "", nil))
			return
		}
		title := v.Title
		if named, ok := data.(interface{ Title() string }); ok {
			title = named.Title() // of one thing of many
		}
		p.render(w, v.Name, http.StatusOK, p.shown(q, title, cmp.Or(v.under, v.Name), data))
	}
}

func (p *Page) shown(q *request, title, view string, data any) shown {
	s := shown{
		Tabs: p.tabs, Title: title, View: view, Registry: q.registry, Registries: p.cfg.Fleet.Seen(q.viewer), User: q.user, Query: map[string]string{}, Values: q.query,
		Now: time.Now(), Data: data, May: func(verb, environment string) bool { return q.may(Verb(verb), environment) },
	}
	for name := range q.query {
		s.Query[name] = q.query.Get(name)
	}
	return s
}

// render executes a template as a whole before a byte of it is sent: half a page would look like a whole one.
func (p *Page) render(w http.ResponseWriter, name string, status int, s shown) {
	var out bytes.Buffer
	if err := p.templates[name].ExecuteTemplate(&out, "page", s); err != nil {
		p.cfg.Log.Error("page not made", "view", name, "error", err)
		http.Error(w, "this page could not be made; davit's log has the reason", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = out.WriteTo(w)
}

// json answers with a view's data.
func (p *Page) json(v view) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, err := p.ask(w, r)
		if err != nil {
			p.refuse(w, err)
			return
		}
		data, err := v.load(q)
		switch {
		case err != nil:
			p.refuse(w, err)
		case data == nil:
			writeJSON(w, http.StatusNotFound, problem{errUnseen.Error()})
		default:
			writeJSON(w, http.StatusOK, data)
		}
	}
}

// problem is an answer that is no data.
type problem struct {
	Error string `json:"error"`
}

func writeJSON(w http.ResponseWriter, status int, data any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(data)
}

// status is that of an error's answer, with its words: those of others can hold what not everybody may see, so what went
// wrong behind the page is told by the log.
func (p *Page) status(w http.ResponseWriter, err error) (int, string) {
	var wrong wrongQuery
	if errors.As(err, &wrong) {
		return http.StatusBadRequest, wrong.Error()
	}
	if errors.Is(err, errUnseen) {
		return http.StatusNotFound, err.Error()
	}
	var elsewhere away
	if errors.As(err, &elsewhere) {
		w.Header().Set("Retry-After", "2")
		return http.StatusServiceUnavailable, elsewhere.Error()
	}
	p.cfg.Log.Warn("question not answered", "error", gitops.RedactText(err.Error()))
	return http.StatusBadGateway, "the cluster or the repository did not answer; davit's log has the reason"
}

func (p *Page) refuse(w http.ResponseWriter, err error) {
	if errors.Is(err, errAnswered) {
		return
	}
	status, words := p.status(w, err)
	writeJSON(w, status, problem{words})
}

func (p *Page) failed(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errAnswered) || r.Context().Err() != nil {
		return
	}
	status, words := p.status(w, err)
	if status == http.StatusNotFound {
		p.render(w, "missing", status, shown{Title: "Not here"})
		return
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Refresh", "5") // another may lead then, or this one
	}
	p.render(w, "trouble", status, shown{Title: "Not now", Registry: r.PathValue("registry"), Data: words})
}

// home leads to the one registry, or to a choice.
func (p *Page) home(w http.ResponseWriter, r *http.Request) {
	q, err := p.ask(w, r)
	if err != nil {
		p.failed(w, r, err)
		return
	}
	if names := p.cfg.Fleet.Seen(q.viewer); len(names) == 1 {
		http.Redirect(w, r, "/"+names[0], http.StatusFound)
		return
	}
	p.render(w, "home", http.StatusOK, p.shown(q, "Registries", "", nil))
}

func (p *Page) registries(w http.ResponseWriter, r *http.Request) {
	q, err := p.ask(w, r)
	if err != nil {
		p.refuse(w, err)
		return
	}
	names := p.cfg.Fleet.Seen(q.viewer)
	writeJSON(w, http.StatusOK, registryList{append([]string{}, names...)})
}

// registryList names the registries that are followed, and have an environment that may be seen.
type registryList struct {
	Registries []string `json:"registries"`
}
