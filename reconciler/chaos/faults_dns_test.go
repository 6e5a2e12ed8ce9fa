package chaos_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// faultyNames is a DNS server on loopback, by which this process finds names that end in .chaos.test, and nothing else.
type faultyNames struct {
	mu    sync.Mutex
	codes map[string]dnsmessage.RCode // by name, of those that are not answered well
	hits  map[string]int              // questions since
}

func newFaultyNames(t *testing.T) *faultyNames {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &faultyNames{codes: map[string]dnsmessage.RCode{}, hits: map[string]int{}}
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.serve(server)
	}()
	t.Cleanup(func() {
		net.DefaultResolver = before
		server.Close()
		<-ended
	})
	return n
}

// answer has it answer questions for a name with a code from now on.
func (n *faultyNames) answer(name string, code dnsmessage.RCode) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.codes[name], n.hits[name] = code, 0
}

func (n *faultyNames) asked(name string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hits[name]
}

func (n *faultyNames) code(name string) dnsmessage.RCode {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hits[name]++
	return n.codes[name]
}

func (n *faultyNames) serve(server net.PacketConn) {
	buffer := make([]byte, 1500)
	for {
		size, from, err := server.ReadFrom(buffer)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buffer[:size]) != nil || len(m.Questions) != 1 {
			continue
		}
		m.RCode = n.code(strings.TrimSuffix(m.Questions[0].Name.String(), "."))
		m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
		q := m.Questions[0]
		if m.RCode == dnsmessage.RCodeSuccess && q.Type == dnsmessage.TypeA && strings.HasSuffix(q.Name.String(), ".chaos.test.") {
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET},
				Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
			}}
		}
		if data, err := m.Pack(); err == nil {
			_, _ = server.WriteTo(data, from)
		}
	}
}
