package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/davit-dev/davit/reconciler/fleet"
	"github.com/davit-dev/davit/registry"
)

// request is one question, by one user.
type request struct {
	context.Context
	*http.Request
	query    url.Values
	registry string
	user     *User // nil without Access
	viewer   fleet.Viewer
	may      func(verb Verb, environment string) bool
}

// errAnswered says that whoever asked has an answer: a way to log in.
var errAnswered = errors.New("answered")

// wrongQuery is an answer of 400.
type wrongQuery struct{ error }

// errUnseen is an answer of 404: a registry none of whose environments is the user's to see.
var errUnseen = errors.New("there is no such thing, or it is not yours to see")

// away is an answer of 503: it is another replica that has what is asked for.
type away struct{ error }

// ask finds out who asks, and what that user may see here.
func (p *Page) ask(w http.ResponseWriter, r *http.Request) (*request, error) {
	q, err := p.asks(w, r)
	if err != nil {
		return nil, err
	}
	if p.cfg.Away != nil {
		if words := p.cfg.Away(r.Context()); words != "" {
			return nil, away{errors.New(words)}
		}
	}
	if q.registry != "" && q.user != nil && !p.cfg.Fleet.Sees(q.viewer, q.registry) {
		return nil, errUnseen
	}
	return q, nil
}

func (p *Page) asks(w http.ResponseWriter, r *http.Request) (*request, error) {
	q := &request{Context: r.Context(), Request: r, query: r.URL.Query(), registry: r.PathValue("registry")}
	q.may = func(verb Verb, _ string) bool { return verb == See || verb == Logs || p.cfg.Actions != nil }
	if p.cfg.Access == nil {
		return q, nil
	}
	user, err := p.cfg.Access.User(r)
	if err != nil {
		return nil, err
	}
	if user == nil {
		p.cfg.Access.ServeHTTP(w, r)
		return nil, errAnswered
	}
	q.user = user
	may := func(verb Verb, registry, environment string) bool {
		ok, err := p.cfg.Access.May(r.Context(), user, verb, registry, environment)
		if err != nil {
			p.cfg.Log.Warn("rights of a user not known", "user", user.Name, "environment", environment, "error", err)
		}
		return ok && err == nil
	}
	q.viewer.May = func(registry, environment string) bool { return may(See, registry, environment) }
	q.viewer.Logs = func(registry, environment string) bool { return may(Logs, registry, environment) }
	q.may = func(verb Verb, environment string) bool {
		return (verb == See || verb == Logs || p.cfg.Actions != nil) && may(verb, q.registry, environment)
	}
	return q, nil
}

// key is the release that the path names.
func (q *request) key() registry.Key {
	return registry.Key{Environment: q.PathValue("environment"), Name: q.PathValue("release")}
}

// number is a parameter that is a number; 0 when it is absent.
func (q *request) number(name string) (int, error) {
	text := q.query.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, wrongQuery{errors.New(name + " is not a number: " + strconv.Quote(text))}
	}
	return n, nil
}
