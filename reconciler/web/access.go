package web

import (
	"context"
	"net/http"
)

// User is who looks at a page.
type User struct {
	// Name is as Kubernetes knows it, Groups as well.
	Name   string
	Groups []string
	// Email is what a commit is signed off with; "" when it is not known.
	Email string
}

// Verb is what somebody may do with the releases of an environment.
type Verb string

// The verbs.
const (
	See     Verb = "get"     // see releases
	Logs    Verb = "logs"    // see what their containers write
	Propose Verb = "propose" // have promotions and ways back proposed
	Suspend Verb = "suspend" // suspend and resume
)

// Access says who may see and do what. It is called concurrently.
type Access interface {
	// User is who sent a request. Of somebody unknown it is nil; then ServeHTTP answers: by a way to log in, or 401.
	User(r *http.Request) (*User, error)
	http.Handler
	// May says whether a user may do something in an environment of a registry.
	May(ctx context.Context, user *User, verb Verb, registry, environment string) (bool, error)
}
