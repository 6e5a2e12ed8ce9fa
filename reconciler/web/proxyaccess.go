package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// ProxyConfig says which proxy tells who a user is. All but Groups and Email are required.
type ProxyConfig struct {
	// From are the addresses that the proxy's requests come from: what others say in these headers counts for nothing.
	From []netip.Prefix
	// User, Groups and Email are headers. Groups are divided by commas, and may come in several headers.
	User, Groups, Email string
	Rights              Rights
}

// ProxyAccess believes an authenticating proxy in front of the page, such as oauth2-proxy.
type ProxyAccess struct{ cfg ProxyConfig }

// NewProxyAccess checks cfg.
func NewProxyAccess(cfg ProxyConfig) (*ProxyAccess, error) {
	if len(cfg.From) == 0 || cfg.User == "" || cfg.Rights == nil {
		return nil, errors.New("a proxy that tells who a user is needs its addresses, the header with the name, and rights")
	}
	return &ProxyAccess{cfg}, nil
}

// User is who the proxy says; nil when it says nobody, or another than the proxy does.
func (a *ProxyAccess) User(r *http.Request) (*User, error) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return nil, nil
	}
	from, err := netip.ParseAddr(host)
	if err != nil || !a.trusts(from) {
		return nil, nil
	}
	if len(r.Header.Values(a.cfg.User)) != 1 { // two names are one too many: one may be the browser's own
		return nil, nil
	}
	u := &User{Name: r.Header.Get(a.cfg.User)}
	if u.Name == "" || strings.HasPrefix(u.Name, "system:") {
		return nil, nil
	}
	if a.cfg.Email != "" {
		u.Email = r.Header.Get(a.cfg.Email)
	}
	if a.cfg.Groups != "" {
		for _, list := range r.Header.Values(a.cfg.Groups) {
			u.Groups = append(u.Groups, groupsOf(strings.Split(list, ","))...)
		}
	}
	return u, nil
}

func (a *ProxyAccess) trusts(from netip.Addr) bool {
	for _, p := range a.cfg.From {
		if p.Contains(from.Unmap()) {
			return true
		}
	}
	return false
}

// groupsOf are the groups somebody outside may be in. Those of Kubernetes itself are nobody's to give: system:masters may do
// all.
func groupsOf(names []string) (out []string) {
	for _, n := range names {
		if n = strings.TrimSpace(n); n != "" && !strings.HasPrefix(n, "system:") {
			out = append(out, n)
		}
	}
	return out
}

// ServeHTTP refuses whom the proxy did not name.
func (a *ProxyAccess) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "nobody is logged in: come by the proxy in front of this page", http.StatusUnauthorized)
}

// May asks Kubernetes.
func (a *ProxyAccess) May(ctx context.Context, user *User, verb Verb, registry, environment string) (bool, error) {
	return a.cfg.Rights.may(ctx, user, verb, registry, environment)
}
