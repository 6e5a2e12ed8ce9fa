package cluster

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/client-go/discovery"
)

// APIs is what a cluster serves.
type APIs struct {
	// Kubernetes is the minor version, "1.37".
	Kubernetes string
	served     map[string]bool // "group/version", and the group alone
}

// Has says whether the cluster serves a group and version, or a group in any version when it is named alone.
func (a *APIs) Has(api string) bool { return a.served[api] }

// APIs asks the API server what it serves.
func (c *Cluster) APIs(ctx context.Context) (*APIs, error) {
	client := discovery.ToDiscoveryInterfaceWithContext(c.typed.Discovery())
	version, err := client.ServerVersionWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the API server's version: %w", err)
	}
	groups, err := client.ServerGroupsWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the API server's groups: %w", err)
	}
	// Managed services write a minor version such as "37+".
	a := &APIs{Kubernetes: version.Major + "." + strings.TrimRight(version.Minor, "+"), served: map[string]bool{}}
	for _, g := range groups.Groups {
		a.served[g.Name] = true
		for _, v := range g.Versions {
			a.served[v.GroupVersion] = true
		}
	}
	return a, nil
}
