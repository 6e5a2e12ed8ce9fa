package gitops

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// connectDialer dials through an http proxy by CONNECT (RFC 9110, 9.3.6).
type connectDialer struct{ to *url.URL }

func (d connectDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.reach(ctx, network)
	if err != nil {
		return nil, fmt.Errorf("reaching the proxy: %w", err)
	}
	if err := d.connect(conn, address); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (d connectDialer) reach(ctx context.Context, network string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	port := d.to.Port()
	if d.to.Scheme == "http" {
		if port == "" {
			port = "80"
		}
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(d.to.Hostname(), port))
	}
	if port == "" {
		port = "443"
	}
	return (&tls.Dialer{}).DialContext(ctx, network, net.JoinHostPort(d.to.Hostname(), port))
}

// connect asks the proxy for the way. An ssh server speaks first, so what was read behind the answer would be lost: it is
// read byte by byte.
func (d connectDialer) connect(conn net.Conn, address string) error {
	if err := conn.SetDeadline(time.Now().Add(listTimeout)); err != nil {
		return err
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if user := d.to.User; user != nil {
		password, _ := user.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err := req.Write(conn); err != nil {
		return fmt.Errorf("asking the proxy: %w", err)
	}
	res, err := http.ReadResponse(bufio.NewReaderSize(oneByte{conn}, 16), req)
	if err != nil {
		return fmt.Errorf("reading the proxy's answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the proxy refuses %s: %s", address, res.Status)
	}
	return conn.SetDeadline(time.Time{})
}

// oneByte reads no more than it is asked to look at.
type oneByte struct{ net.Conn }

func (o oneByte) Read(p []byte) (int, error) { return o.Conn.Read(p[:min(1, len(p))]) }
