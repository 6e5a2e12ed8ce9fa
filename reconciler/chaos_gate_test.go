package reconciler_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// gate passes connections on to a server on loopback until it is shut; what is under way is cut then.
type gate struct {
	net.Listener
	to string

	mu   sync.Mutex
	shut bool
	open map[net.Conn]bool
}

func newGate(t *testing.T, to string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Listener: l, to: to, open: map[net.Conn]bool{}}
	var serving sync.WaitGroup
	t.Cleanup(func() { l.Close(); g.set(true); serving.Wait() })
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { g.pass(conn) })
		}
	})
	return g
}

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	for conn := range g.open {
		if shut {
			conn.Close()
		}
	}
}

func (g *gate) isShut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut
}

func (g *gate) pass(conn net.Conn) {
	defer conn.Close()
	server, err := net.Dial("tcp", g.to)
	if err != nil {
		return
	}
	defer server.Close()
	g.mu.Lock()
	shut := g.shut
	g.open[conn], g.open[server] = true, true
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		delete(g.open, conn)
		delete(g.open, server)
		g.mu.Unlock()
	}()
	if shut {
		return
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{conn, server}, {server, conn}} {
		both.Go(func() {
			_, _ = io.Copy(way[1], way[0])
			conn.Close()
			server.Close()
		})
	}
	both.Wait()
}
