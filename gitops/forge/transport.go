package forge

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxAnswer is far above a page of a hundred pull requests (GitHub writes some 25 KB for each).
const maxAnswer = 32 << 20

// client is cfg's with the token, with refusals as *Error, and without ways to other hosts.
func client(cfg Config) *http.Client {
	c := http.Client{Timeout: timeout}
	if cfg.Client != nil {
		c = *cfg.Client
	}
	c.Transport = &transport{base: cmp.Or[http.RoundTripper](c.Transport, http.DefaultTransport), token: cfg.Token}
	c.CheckRedirect = checkRedirect
	return &c
}

// checkRedirect follows a forge on its own host alone (a renamed repository), because the token goes along. A write
// that became a GET, as after 301 and 302, would be lost in silence.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case req.URL.Host != first.URL.Host || req.URL.Scheme != first.URL.Scheme:
		return moved(req.URL.Scheme + "://" + req.URL.Host)
	case req.Method != first.Method:
		return moved("another path")
	case len(via) > 5:
		return errors.New("the forge redirects in circles")
	}
	return nil
}

func moved(to string) error {
	return fmt.Errorf("the forge redirects to %s; set the forge's url or the repository to the new place", to)
}

type transport struct {
	base  http.RoundTripper
	token func(context.Context) (string, error)
}

// RoundTrip adds the token and reads the whole answer; one of 400 and above becomes an *Error. The token is taken out
// of it here, where it is known, in case the forge or a proxy quotes the request.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	token := ""
	if t.token != nil {
		var err error
		if token, err = t.token(req.Context()); err != nil {
			return nil, fmt.Errorf("reading the forge's token: %w", err)
		}
	}
	if token != "" {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, silence(req, err)
	}
	data, err := io.ReadAll(http.MaxBytesReader(nil, res.Body, maxAnswer))
	res.Body.Close()
	if err != nil {
		return nil, silence(req, err)
	}
	if res.StatusCode >= http.StatusBadRequest {
		if token != "" {
			data = bytes.ReplaceAll(data, []byte(token), []byte("REDACTED"))
		}
		return nil, refusal(res, data)
	}
	res.Body = io.NopCloser(bytes.NewReader(data))
	return res, nil
}
