// Stands in for Traefik's fork of go-http-auth, which not every proxy serves: no route here asks for a password. One that did
// would let nobody in.
module github.com/abbot/go-http-auth

go 1.26.0
