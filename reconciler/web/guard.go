package web

import (
	"net"
	"net/http"
	"strings"
)

// policy allows a page its own files and nothing else: no inline script or style, no frame, no other host.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guard sets what keeps a browser from doing more with an answer than it is meant for.
func guard(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// sameSite refuses whatever would change something and comes from a page of another origin. Browsers of today say where a
// request comes from (Fetch Metadata, and Origin on each POST); what says neither is no browser, and has no cookies that a
// page could make use of.
func sameSite(r *http.Request) bool {
	return http.NewCrossOriginProtection().Check(r) == nil
}

// loopbackHost says whether a browser believes that it talks to its own machine. A page of another site that has its own name
// resolved to loopback (DNS rebinding) does not.
func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
