package devcluster

import (
	"context"
	"fmt"
	"os"
)

const clusterDomain = "cluster.local"

// startDNS answers pods' questions for Services and the pods of headless ones, on the bridge's gateway. There is no
// kube-proxy, so of the addresses it gives only pods' own, and the kubernetes service's, lead anywhere; and no way
// out, so a name outside the cluster does not exist, which pods learn at once.
func (s *supervisor) startDNS(ctx context.Context, c *controlPlane) error {
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	ready := fmt.Sprintf("127.0.0.1:%d", ports[0])
	config := fmt.Sprintf(`%[1]s:53 in-addr.arpa:53 {
	bind %[2]s
	errors
	ready %[3]s
	kubernetes %[1]s in-addr.arpa {
		kubeconfig %[4]q
	}
}
.:53 {
	bind %[2]s
	template ANY ANY {
		rcode NXDOMAIN
	}
}
`, clusterDomain, s.net.gateway(), ready, c.kubeconfig)
	if err := os.WriteFile(s.path("Corefile"), []byte(config), 0o600); err != nil {
		return err
	}
	dns, err := s.start("coredns", nil, "-conf="+s.path("Corefile"))
	if err != nil {
		return err
	}
	// It is ready when it has seen all Services and endpoints.
	return dns.until(ctx, func(ctx context.Context) error { return answers(ctx, "http://"+ready+"/ready") })
}
