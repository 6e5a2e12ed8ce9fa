// Package web serves the web page: every model, every environment, every commit, live.
//
// Each view is one entry of a table in views.go: how its data is had (package fleet), and the template that shows it. The
// same data is the JSON API under /api/v1, described by /api/v1/openapi.json, and whatever changes is told by server-sent
// events. It knows HTTP and HTML, and nothing of Git or Kubernetes. It reads; what it may do beside that is given to it as
// [Actions]. Commit messages, annotations and model cards are hostile: nothing but html/template puts them into a page, and
// the Content-Security-Policy allows no script, style or image but the page's own files.
package web
