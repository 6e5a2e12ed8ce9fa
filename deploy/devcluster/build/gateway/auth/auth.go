// Package auth has what Traefik names of passwords over HTTP, and refuses all.
package auth

import "net/http"

// CheckSecret finds no password right.
func CheckSecret(password, secret string) bool { return false }

// BasicAuth is the Basic scheme.
type BasicAuth struct {
	Realm   string
	Secrets func(user, realm string) string
}

// RequireAuth refuses.
func (*BasicAuth) RequireAuth(w http.ResponseWriter, _ *http.Request) { refuse(w) }

// DigestAuth is the Digest scheme.
type DigestAuth struct{}

// NewDigestAuthenticator knows no secrets.
func NewDigestAuthenticator(realm string, secrets func(user, realm string) string) *DigestAuth {
	return &DigestAuth{}
}

// CheckAuth finds nobody.
func (*DigestAuth) CheckAuth(*http.Request) (user string, info *string) { return "", nil }

// RequireAuth refuses.
func (*DigestAuth) RequireAuth(w http.ResponseWriter, _ *http.Request) { refuse(w) }

// RequireAuthStale refuses.
func (*DigestAuth) RequireAuthStale(w http.ResponseWriter, _ *http.Request) { refuse(w) }

// DigestAuthParams finds none in the header.
func DigestAuthParams(header string) map[string]string { return nil }

func refuse(w http.ResponseWriter) { w.WriteHeader(http.StatusUnauthorized) }
