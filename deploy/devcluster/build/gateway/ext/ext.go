// Package ext stands in for a module that Traefik requires by a path inside its own repository, from where no proxy
// serves it: the fields that a build of Traefik may add to its configuration. This one adds none.
package ext

// HTTP is what is added to the configuration of HTTP.
type HTTP struct{}

// Router is what is added to a router's.
type Router struct{}
