package cluster

import (
	"net/netip"

	"k8s.io/client-go/rest"
)

// near says that an API server is on this machine or in this network, by its address: in a cluster that is the Service's.
// Nothing is gained there by compressing what it sends, and both ends pay for it: a controller that starts with ten
// thousand releases reads some 100 MiB of lists, and a tenth of its CPU time was for unpacking them. By kubeconfig,
// disable-compression says the same of any other.
func near(cfg *rest.Config) bool {
	at, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return false
	}
	if at.Hostname() == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(at.Hostname())
	return err == nil && (ip.IsLoopback() || ip.IsPrivate())
}
