package web

import (
	"context"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"strings"

	"github.com/davit-dev/davit/reconciler/fleet"
)

// Config is what a page works with. Fleet is required.
type Config struct {
	Fleet *fleet.Fleet
	// Access says who may see and do what. When nil, whoever reaches the page may see all of it and do nothing: such a page
	// is for loopback.
	Access Access
	// Local is who that is, where it matters who asked for something; without Access.
	Local User
	// Away says in a line why there is nothing to see here now, and where there is; "" when there is. Nil for never.
	Away func(ctx context.Context) string
	// Actions are what can be done; the page is read-only when nil.
	Actions Actions
	// Log receives what went wrong while a page was made; discarded when nil.
	Log *slog.Logger
}

// Page is the handler of the web page and its API.
type Page struct {
	cfg       Config
	mux       *http.ServeMux
	views     []view
	tabs      []view // those that are reached from everywhere
	templates map[string]*template.Template
	// description is the API's, in OpenAPI's terms.
	description any
	streams     chan struct{} // a place for each log that is streamed
}

// New makes a page.
func New(cfg Config) (*Page, error) {
	if cfg.Fleet == nil {
		return nil, errors.New("web needs a fleet")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p := &Page{cfg: cfg, mux: http.NewServeMux(), views: views(cfg.Fleet), streams: make(chan struct{}, mostLogs)}
	for _, v := range p.views {
		if !strings.Contains(v.Path, "{") {
			p.tabs = append(p.tabs, v)
		}
	}
	var err error
	if p.templates, err = parse(p.views); err != nil {
		return nil, err
	}
	p.description = describe(p.views)
	p.route()
	return p, nil
}

// route is one place of the page, by its pattern (net/http's).
type route struct {
	pattern string
	handler http.HandlerFunc
}

// routes is the table of all places but those that logging in needs.
func (p *Page) routes() []route {
	all := []route{
		{"GET /{$}", p.home},
		{"GET /-/static/{file}", static().ServeHTTP},
		{"GET /api/v1/openapi.json", p.openapi},
		{"GET /api/v1/registries", p.registries},
		{"GET /api/v1/registries/{registry}/changes", p.changes},
		{"GET /api/v1/registries/{registry}/runs/{run}/logs", p.logs},
	}
	for _, a := range acts() {
		place := "/releases/{environment}/{release}/" + a.name
		all = append(all, route{"POST /{registry}" + place, p.form(a)}, route{"POST /api/v1/registries/{registry}" + place, p.call(a)})
	}
	for _, v := range p.views {
		all = append(all, route{"GET /{registry}" + v.Path, p.html(v)}, route{"GET /api/v1/registries/{registry}" + v.api(), p.json(v)})
	}
	return all
}

func (p *Page) route() {
	for _, r := range p.routes() {
		p.mux.HandleFunc(r.pattern, r.handler)
	}
	if places, ok := p.cfg.Access.(interface{ Route(*http.ServeMux) }); ok {
		places.Route(p.mux)
	}
}

// ServeHTTP answers one request.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	guard(w.Header())
	if p.cfg.Access == nil && !loopbackHost(r.Host) {
		http.Error(w, "this page is for loopback: open it as http://localhost", http.StatusForbidden)
		return
	}
	if !sameSite(r) {
		http.Error(w, "this was sent from another site", http.StatusForbidden)
		return
	}
	p.mux.ServeHTTP(w, r)
}
