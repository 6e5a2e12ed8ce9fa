package chaos

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
)

// Proxy passes http requests on loopback to a server, unless a Fault is under way. It may be used concurrently.
type Proxy struct {
	// URL is where it listens.
	URL string
	// CA is the PEM of its certificate; nil over plain http.
	CA []byte

	server *httptest.Server
	to     http.Handler

	mu    sync.Mutex
	fault Fault
	ended chan struct{} // when the fault has
	hits  int
	conns map[net.Conn]bool
	down  bool
}

// Fault says what is done with a request instead of passing it to the server; nothing when nil.
type Fault func(r *http.Request, server http.Handler) http.Handler

// New listens for a server at an http(s) URL, which transport reaches; http.DefaultTransport does when nil. An https server
// is served over TLS too, with HTTP/2.
func New(server string, transport http.RoundTripper) (*Proxy, error) {
	to, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	return Serve(&httputil.ReverseProxy{
		// The client's Host stays: an OCI registry makes the places of its uploads from it.
		Rewrite:       func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host },
		Transport:     transport,
		FlushInterval: -1, // watches
		ErrorLog:      log.New(io.Discard, "", 0),
		// Whoever does not reach the server sees a connection that ends.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}, to.Scheme == "https"), nil
}

// Serve is a Proxy for a server that is a handler.
func Serve(server http.Handler, secure bool) *Proxy {
	p := &Proxy{to: server, conns: map[net.Conn]bool{}}
	p.server = httptest.NewUnstartedServer(p)
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.server.Listener = &listener{p.server.Listener, p}
	if secure {
		p.server.EnableHTTP2 = true
		p.server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		p.server.StartTLS()
		p.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
	} else {
		p.server.Start()
	}
	p.URL = p.server.URL
	return p
}

// Host is where it listens, as host:port.
func (p *Proxy) Host() string { return p.server.Listener.Addr().String() }

// Close ends it, with all connections.
func (p *Proxy) Close() {
	p.Begin(nil)
	p.Break()
	p.server.Close()
}

// Begin has a fault begin, in place of the one before; none when nil.
func (p *Proxy) Begin(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended != nil {
		close(p.ended)
	}
	p.fault, p.ended, p.hits, p.down = f, make(chan struct{}), 0, false
}

// Down has connections reset, those that there are and those that come, until the next Begin.
func (p *Proxy) Down() {
	p.Begin(nil)
	p.mu.Lock()
	p.down = true
	p.mu.Unlock()
	p.Break()
}

// Break resets the connections that there are.
func (p *Proxy) Break() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		reset(c)
	}
	clear(p.conns)
}

// Hits are how many requests, or connections, the fault that began last has met.
func (p *Proxy) Hits() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hits
}

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	fault, ended := p.fault, p.ended
	p.mu.Unlock()
	if fault != nil {
		if instead := fault(r, p.to); instead != nil {
			p.mu.Lock()
			if p.ended == ended {
				p.hits++
			}
			p.mu.Unlock()
			instead.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), endKey{}, ended)))
			return
		}
	}
	p.to.ServeHTTP(w, r)
}

type endKey struct{}

// end is closed when the fault that a request met has ended.
func end(r *http.Request) <-chan struct{} {
	ended, _ := r.Context().Value(endKey{}).(chan struct{})
	return ended
}

// listener keeps the connections, so that they can be reset.
type listener struct {
	net.Listener
	p *Proxy
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.p.mu.Lock()
		down := l.p.down
		if down {
			l.p.hits++
			reset(c)
		} else {
			l.p.conns[c] = true
		}
		l.p.mu.Unlock()
		if !down {
			return &conn{c, l.p}, nil
		}
	}
}

// conn is forgotten when it is closed.
type conn struct {
	net.Conn
	p *Proxy
}

func (c *conn) Close() error {
	c.p.mu.Lock()
	delete(c.p.conns, c.Conn)
	c.p.mu.Unlock()
	return c.Conn.Close()
}

// reset has the other side's reads and writes fail at once.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// Client trusts its certificate.
func (p *Proxy) Client() *http.Client { return p.server.Client() }
