package cluster

import (
	"context"
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// With makes another Cluster with c's Config as edit changes it; of the cluster a kubeconfig names, if there is one. What wraps c's transport wraps its too.
func (c *Cluster) With(ctx context.Context, kubeconfig []byte, edit func(*Config)) (*Cluster, error) {
	cfg := c.cfg
	if kubeconfig != nil {
		other, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
		if err != nil {
			return nil, fmt.Errorf("reading the kubeconfig: %w", err)
		}
		other.UserAgent, other.WrapTransport = cfg.REST.UserAgent, cfg.REST.WrapTransport
		cfg.REST = other
	}
	edit(&cfg)
	return New(ctx, cfg)
}

// ServiceAccount is Config.Impersonate for a service account. Its groups follow from its name: the API server adds them
// by itself, and to ask for them would take the right to impersonate groups, which reach further than one account.
func ServiceAccount(namespace, name string) rest.ImpersonationConfig {
	return rest.ImpersonationConfig{UserName: accountPrefix + namespace + ":" + name}
}
