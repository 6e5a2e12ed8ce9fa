package devcluster

import (
	"fmt"
	"io"
	"net"
)

// startProxy forwards TCP connections, so that pods reach by the bridge what listens on loopback alone.
func startProxy(listen, target string) (io.Closer, error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("forwarding %s to %s: %w", listen, target, err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go forward(c.(*net.TCPConn), target)
		}
	}()
	return l, nil
}

func forward(from *net.TCPConn, target string) {
	defer from.Close()
	c, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	to := c.(*net.TCPConn)
	defer to.Close()
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(from, to)
		_ = from.CloseWrite()
	}()
	_, _ = io.Copy(to, from)
	_ = to.CloseWrite()
	<-back
}
