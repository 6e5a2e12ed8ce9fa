package devcluster

import (
	"slices"
	"testing"
)

// A port that the kernel may give to an outgoing connection is taken before the process that is to listen there starts.
func TestFreePorts(t *testing.T) {
	ports, err := freePorts(200)
	if err != nil {
		t.Fatal(err)
	}
	if below := firstEphemeral(); slices.Max(ports) >= below {
		t.Errorf("port %d is one of those for outgoing connections, which begin at %d", slices.Max(ports), below)
	}
	slices.Sort(ports)
	if n := len(slices.Compact(ports)); n != 200 {
		t.Errorf("200 ports are %d different ones", n)
	}
}
