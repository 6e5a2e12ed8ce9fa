package gitops

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/go-git/go-git/v5/plumbing/transport"
	"golang.org/x/net/proxy"
)

// sshWay is the scheme under which go-git finds how davit dials ssh. It is davit's own, so that nobody else's is replaced.
const sshWay = "davit-ssh"

// ways are the contexts and proxies of the ssh sessions of the moment, by the host of the address that go-git is given for
// a proxy: it takes no dialer, and its dialling and its handshake heed no context, so that a server that accepts and says
// nothing would hold them for ever.
var (
	ways    sync.Map
	wayLast atomic.Uint64
)

var registerWays = sync.OnceFunc(func() {
	proxy.RegisterDialerType(sshWay, func(to *url.URL, _ proxy.Dialer) (proxy.Dialer, error) {
		if way, ok := ways.Load(to.Host); ok {
			return way.(*sshDialer), nil
		}
		return nil, fmt.Errorf("the session of %s has ended", to)
	})
})

// way has go-git dial by a context, which also ends what was dialled: it must end.
func (a Access) way(ctx context.Context) transport.ProxyOptions {
	registerWays()
	name := strconv.FormatUint(wayLast.Add(1), 10)
	ways.Store(name, &sshDialer{ctx, a.Proxy})
	context.AfterFunc(ctx, func() { ways.Delete(name) })
	return transport.ProxyOptions{URL: sshWay + "://" + name}
}

// gitProxy is the way as go-git's own Fetch is told of it.
func (a Access) gitProxy(ctx context.Context, endpoint *transport.Endpoint) transport.ProxyOptions {
	switch {
	case endpoint.Protocol == "ssh":
		return a.way(ctx)
	case a.Proxy == nil:
		return transport.ProxyOptions{}
	}
	return transport.ProxyOptions{URL: a.Proxy.String()}
}

// sshDialer dials as long as ctx goes.
type sshDialer struct {
	ctx   context.Context // of one session: go-git hands none down
	proxy *url.URL
}

func (w *sshDialer) Dial(network, address string) (net.Conn, error) {
	return w.DialContext(w.ctx, network, address)
}

// DialContext dials by the session's own context: go-git's never ends.
func (w *sshDialer) DialContext(_ context.Context, network, address string) (net.Conn, error) {
	conn, err := dialBy(w.ctx, w.proxy, network, address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(w.ctx, func() { conn.Close() }) // whatever waits for the server, to speak or to listen
	return conn, nil
}

// dialBy dials through a proxy; through that of the environment, if there is one, when it is nil.
func dialBy(ctx context.Context, through *url.URL, network, address string) (net.Conn, error) {
	switch {
	case through == nil:
		return proxy.Dial(ctx, network, address)
	case through.Scheme == "http" || through.Scheme == "https":
		return connectDialer{through}.DialContext(ctx, network, address)
	}
	dialer, err := proxy.FromURL(through, proxy.Direct)
	if err != nil {
		return nil, err
	}
	by, ok := dialer.(proxy.ContextDialer)
	if !ok {
		return nil, fmt.Errorf("a proxy by %s can't be used for ssh", through.Scheme)
	}
	return by.DialContext(ctx, network, address)
}
