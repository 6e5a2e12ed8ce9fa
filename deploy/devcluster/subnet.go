package devcluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
)

// network is a cluster's own pair of /24 subnets: 10.<pods>.<third>.0 and 10.<services>.<third>.0.
type network struct{ pods, service24, third int }

// newNetwork picks subnets at random that no interface of the machine has; 14,080 pairs make two clusters that
// start at once unlikely to meet, and a bridge that exists is seen.
func newNetwork() (network, error) {
	taken, err := net.InterfaceAddrs()
	if err != nil {
		return network{}, fmt.Errorf("reading the machine's addresses: %w", err)
	}
	for range 100 {
		n := network{200 + rand.IntN(55), 140 + rand.IntN(55), rand.IntN(256)}
		if !overlaps(taken, n.podRange()) && !overlaps(taken, n.services()) {
			return n, nil
		}
	}
	return network{}, errors.New("finding a free subnet in 10.0.0.0/8: all tried are in use")
}

func overlaps(taken []net.Addr, subnet string) bool {
	want := netip.MustParsePrefix(subnet)
	for _, address := range taken {
		if have, err := netip.ParsePrefix(address.String()); err == nil && have.Masked().Overlaps(want) {
			return true
		}
	}
	return false
}

func (n network) podRange() string      { return fmt.Sprintf("10.%d.%d.0/24", n.pods, n.third) }
func (n network) gateway() string       { return fmt.Sprintf("10.%d.%d.1", n.pods, n.third) }
func (n network) services() string      { return fmt.Sprintf("10.%d.%d.0/24", n.service24, n.third) }
func (n network) service(i int) string  { return fmt.Sprintf("10.%d.%d.%d", n.service24, n.third, i) }
func (n network) simulatedPods() string { return "10.64.0.1/10" } // never routed, so clusters may share it
