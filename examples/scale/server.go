package main

import (
	"context"
	"net/http/cgi"
	"net/http/httptest"
	"path/filepath"
)

// serve serves the repository by the real git http-backend, pushes too, on a loopback port.
func (r *repository) serve(ctx context.Context) (url string, stop func(), err error) {
	programs, err := r.git(ctx, "--exec-path")
	if err != nil {
		return "", nil, err
	}
	if _, err := r.git(ctx, "config", "http.receivepack", "true"); err != nil {
		return "", nil, err
	}
	server := httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(programs, "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + filepath.Dir(r.dir), "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null"},
	})
	return server.URL + "/" + filepath.Base(r.dir) + "/.git", server.Close, nil
}
