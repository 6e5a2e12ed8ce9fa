package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"
)

// group is the nodes of an attempt, as one of them is tied to the others: node 0 to all, the rest to node 0. One
// JSON value is a message.
type group struct {
	peers []*peer
}

type peer struct {
	rank int
	conn net.Conn
	in   *json.Decoder
	out  *json.Encoder
}

func newPeer(conn net.Conn) *peer {
	return &peer{conn: conn, in: json.NewDecoder(conn), out: json.NewEncoder(conn)}
}

// hello is a node's first message to node 0.
type hello struct {
	Run  string
	Rank int
}

// lost says that a node of the group is gone.
type lost struct {
	rank int
	err  error
}

func (l lost) Error() string { return fmt.Sprintf("lost node %d: %v", l.rank, l.err) }

// lead waits on node 0 until all others have come, and tells each where to begin. A stranger is turned away.
func (n *node) lead(ctx context.Context, begin state) (*group, error) {
	defer n.listener.Close()
	defer context.AfterFunc(ctx, func() { n.listener.Close() })()
	g := &group{peers: make([]*peer, n.nodes-1)}
	for missing := n.nodes - 1; missing > 0; {
		conn, err := n.listener.Accept()
		if err != nil {
			g.close()
			return nil, fmt.Errorf("waiting for %d other nodes: %w", missing, errors.Join(err, context.Cause(ctx)))
		}
		p, heard := newPeer(conn), hello{}
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		if err := p.in.Decode(&heard); err != nil || heard.Run != n.settings.run || heard.Rank < 1 || heard.Rank >= n.nodes || g.peers[heard.Rank-1] != nil {
			n.log.Printf("turned away %s, which is no node that is missing", conn.RemoteAddr())
			conn.Close()
			continue
		}
		if err := p.out.Encode(begin); err != nil {
			conn.Close() // it comes again
			continue
		}
		_ = conn.SetDeadline(time.Time{})
		p.rank, g.peers[heard.Rank-1] = heard.Rank, p
		missing--
	}
	return g, nil
}

// join comes to node 0, whose name and port may both take a while to be there.
func (n *node) join(ctx context.Context) (*group, state, error) {
	var begin state
	for told := false; ; told = true {
		p, err := n.greet(ctx, &begin)
		if err == nil {
			return &group{peers: []*peer{p}}, begin, nil
		}
		if !told {
			n.log.Printf("waiting for %s: %v", n.master, err)
		}
		select {
		case <-ctx.Done():
			return nil, begin, fmt.Errorf("joining %s: %w", n.master, errors.Join(err, context.Cause(ctx)))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (n *node) greet(ctx context.Context, begin *state) (*peer, error) {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", n.master)
	if err != nil {
		return nil, err
	}
	p := newPeer(conn)
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := errors.Join(p.out.Encode(hello{n.settings.run, n.rank}), p.in.Decode(begin)); err != nil {
		conn.Close()
		return nil, err
	}
	return p, nil
}

// mean is the all-reduce: each node's numbers go in, and the same mean of all comes out everywhere. Node 0 adds in the
// order of ranks, for sums of floating-point numbers depend on it.
func (g *group) mean(values []float64, rank int) ([]float64, error) {
	if rank > 0 {
		p := g.peers[0]
		if err := errors.Join(p.out.Encode(values), p.in.Decode(&values)); err != nil {
			return nil, lost{p.rank, err}
		}
		return values, nil
	}
	for _, p := range g.peers {
		var theirs []float64
		err := p.in.Decode(&theirs)
		if err == nil && len(theirs) != len(values) {
			err = fmt.Errorf("it sent %d numbers, want %d", len(theirs), len(values))
		}
		if err != nil {
			return nil, lost{p.rank, err}
		}
		for i, v := range theirs {
			values[i] += v
		}
	}
	for i := range values {
		values[i] /= float64(len(g.peers) + 1)
	}
	for _, p := range g.peers {
		if err := p.out.Encode(values); err != nil {
			return nil, lost{p.rank, err}
		}
	}
	return values, nil
}

func (g *group) close() {
	for _, p := range g.peers {
		if p != nil {
			p.conn.Close()
		}
	}
}
