package web

import (
	"net/http"
	"reflect"
	"regexp"

	"github.com/davit-dev/davit/reconciler/fleet"
)

// openapi answers with the description of the API.
func (p *Page) openapi(w http.ResponseWriter, r *http.Request) {
	if _, err := p.ask(w, r); err != nil {
		p.refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, p.description)
}

// Description describes the API in OpenAPI's terms, version 3.1, as a value to be written as JSON. What it says of data comes
// from the data's own types.
func Description() any { return describe(views(nil)) }

// endpoint is what the API has beside the views.
type endpoint struct {
	path, name, summary string
	params              []param
	data                any    // the zero value of what is answered, or of a message's data
	events              string // what the server-sent events are called; "" for an answer as a whole
}

func endpoints() []endpoint {
	return []endpoint{
		{path: "/api/v1/openapi.json", name: "openapi", summary: "This description", data: map[string]any{}},
		{path: "/api/v1/registries", name: "registries", summary: "Names of the registries that are followed, and have an environment that may be seen", data: registryList{}},
		{
			path: "/api/v1/registries/{registry}/changes", name: "changes", data: changeNews{}, events: "change",
			summary: "Server-sent events: change, with the releases that changed, or with none where anything may have; runs, when runs of trainings did",
		},
		{
			path: "/api/v1/registries/{registry}/runs/{run}/logs", name: "logs", data: logNews{}, events: "lines",
			summary: "Server-sent events: lines, which a run's containers wrote, as they write them; end, when the run ended. Last-Event-ID goes on where a connection broke",
			params:  []param{{"after", "place in the log, by the ID of an event: what comes after it is told"}},
		},
	}
}

var pathParam = regexp.MustCompile(`\{([a-z]+)\}`)

type object = map[string]any

func describe(views []view) any {
	s := &schemas{all: object{}, names: map[reflect.Type]string{}}
	paths := object{}
	add := func(path string, e endpoint) {
		paths[path] = object{"get": e.operation(s, path)}
	}
	for _, e := range endpoints() {
		add(e.path, e)
	}
	for _, v := range views {
		path := "/api/v1/registries/{registry}" + v.api()
		add(path, endpoint{path: path, name: v.Name, summary: v.summary, params: v.params, data: v.data})
	}
	for _, a := range acts() {
		path := "/api/v1/registries/{registry}/releases/{environment}/{release}/" + a.name
		paths[path] = object{"post": a.operation(s, path)}
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "davit", "version": "v1",
			"description": "What the web page shows, as data. It tells of the environments that whoever asks may see.",
		},
		"paths":      paths,
		"components": object{"schemas": s.all},
	}
}

// operation describes a GET.
func (e endpoint) operation(s *schemas, path string) object {
	params := pathParams(path)
	for _, p := range e.params {
		params = append(params, object{"name": p.name, "in": "query", "description": p.text, "schema": object{"type": "string"}})
	}
	answer := object{"application/json": object{"schema": s.of(reflect.TypeOf(e.data))}}
	words := e.summary
	if e.events != "" {
		s.of(reflect.TypeOf(e.data))
		answer = object{"text/event-stream": object{"schema": object{
			"type": "string", "description": "the data of an event " + e.events + " is JSON of #/components/schemas/" + s.names[reflect.TypeOf(e.data)],
		}}}
	}
	responses := object{
		"200": object{"description": words, "content": answer},
		"502": s.refused("the cluster or the repository did not answer"),
	}
	if len(e.params) > 0 {
		responses["400"] = s.refused("a parameter is not written like that")
	}
	if len(params) > 0 {
		responses["404"] = s.refused("there is no such thing, or it is not yours to see")
	}
	if e.name == "logs" {
		responses["503"] = s.refused("many logs are being read already")
	}
	return object{"operationId": e.name, "summary": words, "parameters": params, "responses": responses}
}

// operation describes a POST, of JSON or of a form.
func (a act) operation(s *schemas, path string) object {
	properties := object{}
	for _, p := range a.params {
		properties[p.name] = object{"type": "string", "description": p.text}
	}
	body := object{"schema": object{"type": "object", "properties": properties}}
	return object{
		"operationId": a.name, "summary": a.summary, "parameters": pathParams(path),
		"requestBody": object{"content": object{"application/json": body, "application/x-www-form-urlencoded": body}},
		"responses": object{
			"200": object{"description": "what was done", "content": object{"application/json": object{"schema": s.of(reflect.TypeFor[answered]())}}},
			"400": s.refused("a parameter is missing, or not written like that"),
			"403": s.refused("the page only shows, or you may not do this"),
			"404": s.refused("there is no such release, or it is not yours to see"),
			"409": s.refused("it could not be done, and why"),
		},
	}
}

func pathParams(path string) []object {
	params := []object{}
	for _, m := range pathParam.FindAllStringSubmatch(path, -1) {
		params = append(params, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	return params
}

// refused is an answer that is no data.
func (s *schemas) refused(text string) object {
	return object{"description": text, "content": object{"application/json": object{"schema": s.of(reflect.TypeFor[problem]())}}}
}

// stateWords are the values of a State.
var stateWords = []any{string(fleet.Broken), string(fleet.Stopped), string(fleet.Manual), string(fleet.Moving), string(fleet.Well), string(fleet.Past)}
