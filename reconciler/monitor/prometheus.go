package monitor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// Config is what a Prometheus is asked by.
type Config struct {
	// URL is http or https, without credentials.
	URL string
	// Labels are those that all series asked for have, beside namespace and pod; none when empty.
	Labels map[string]string
	// Credentials are read anew before the server is asked: username and password, or bearerToken; ca.crt. None when nil.
	Credentials func(ctx context.Context) (map[string]string, error)
}

// Prometheus is a server that answers the query API of Prometheus. It may be used concurrently.
type Prometheus struct {
	cfg Config

	mu    sync.Mutex // guards what follows
	by    map[string]string
	asked promv1.API // by these credentials; nil before the first question
}

const (
	// queryTimeout bounds one query.
	queryTimeout = 10 * time.Second
	// maxAnswer bounds one answer in bytes: 10,000 groups of pods take less than 2 MiB.
	maxAnswer = 32 << 20
)

var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// New checks cfg and asks nothing.
func New(cfg Config) (*Prometheus, error) {
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil:
		return nil, errors.New("the URL of Prometheus can't be read; write one such as http://prometheus.monitoring:9090")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("%q is not the URL of a Prometheus; write one such as http://prometheus.monitoring:9090", u.Redacted())
	case u.User != nil:
		return nil, fmt.Errorf("the URL of Prometheus %s has credentials in it; write them into a Secret", u.Host)
	}
	for _, name := range sortedKeys(cfg.Labels) {
		if !labelName.MatchString(name) || name == "namespace" || name == "pod" || name == "__name__" {
			return nil, fmt.Errorf("label %q can't be one that series of Prometheus are chosen by; name labels such as cluster", name)
		}
	}
	return &Prometheus{cfg: cfg}, nil
}

// api is the client by the present credentials.
func (p *Prometheus) api(ctx context.Context) (promv1.API, error) {
	var by map[string]string
	if p.cfg.Credentials != nil {
		var err error
		if by, err = p.cfg.Credentials(ctx); err != nil {
			return nil, fmt.Errorf("reading the credentials for Prometheus: %w", err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked != nil && maps.Equal(by, p.by) {
		return p.asked, nil
	}
	transport, err := transportBy(by)
	if err != nil {
		return nil, err
	}
	client, err := api.NewClient(api.Config{Address: p.cfg.URL, Client: &http.Client{Transport: transport, CheckRedirect: noRedirect}})
	if err != nil {
		return nil, fmt.Errorf("asking Prometheus: %w", err)
	}
	p.by, p.asked = maps.Clone(by), promv1.NewAPI(client)
	return p.asked, nil
}

// noRedirect keeps credentials at the server that they are for.
func noRedirect(*http.Request, []*http.Request) error {
	return errors.New("it redirects elsewhere; write the URL that it leads to")
}

// transportBy adds credentials to requests, and bounds answers.
func transportBy(by map[string]string) (http.RoundTripper, error) {
	base := http.DefaultTransport.(*http.Transport).Clone()
	if ca := by["ca.crt"]; ca != "" {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM([]byte(ca)) {
			return nil, errors.New("ca.crt of the Secret for Prometheus holds no certificate in PEM")
		}
		base.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	if by["username"] != "" && by["bearerToken"] != "" {
		return nil, errors.New("the Secret for Prometheus has a username and a bearerToken; remove one of them")
	}
	return &authorized{base: base, by: by}, nil
}

type authorized struct {
	base http.RoundTripper
	by   map[string]string
}

func (a *authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	switch {
	case a.by["bearerToken"] != "":
		r.Header.Set("Authorization", "Bearer "+a.by["bearerToken"])
	case a.by["username"] != "":
		r.SetBasicAuth(a.by["username"], a.by["password"])
	}
	resp, err := a.base.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

// vector asks a query now.
func (p *Prometheus) vector(ctx context.Context, server promv1.API, query string) (model.Vector, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	value, _, err := server.Query(ctx, query, time.Now())
	if err != nil {
		return nil, fmt.Errorf("asking Prometheus at %s: %w", p.cfg.URL, err)
	}
	out, ok := value.(model.Vector)
	if !ok {
		return nil, fmt.Errorf("asking Prometheus at %s: it answered with a %s", p.cfg.URL, value.Type())
	}
	if slices.Contains(out, nil) {
		return nil, fmt.Errorf("asking Prometheus at %s: it answered with a sample that is none", p.cfg.URL)
	}
	return out, nil
}

// OfQuery says whether an error is a server's answer to that query: others may be answered.
func OfQuery(err error) bool {
	answer, ok := errors.AsType[*promv1.Error](err)
	return ok && (answer.Type == promv1.ErrBadData || answer.Type == promv1.ErrExec || answer.Type == promv1.ErrTimeout)
}
