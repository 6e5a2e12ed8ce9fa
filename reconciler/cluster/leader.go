package cluster

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applydiscovery "k8s.io/client-go/applyconfigurations/discovery/v1"
	applymeta "k8s.io/client-go/applyconfigurations/meta/v1"
)

// Leader is the Holder that has a Lease, or had it last; "" when nobody ever had.
func (c *Cluster) Leader(ctx context.Context, namespace, lease string) (string, error) {
	l, err := c.typed.CoordinationV1().Leases(namespace).Get(ctx, lease, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("reading who leads: %w", err)
	case l.Spec.HolderIdentity == nil:
		return "", nil
	}
	return *l.Spec.HolderIdentity, nil
}

// Reached is where this process is reached, while it leads: by a Service without a selector, to which nothing else gives
// endpoints.
type Reached struct {
	Namespace, Service string
	// Address is the pod's, Ports its own by the names that they have in the Service.
	Address netip.Addr
	Ports   map[string]int32
}

// reachedEvery is how soon an EndpointSlice that somebody deleted or changed is there again. What is not written is tried again
// sooner, at first.
const reachedEvery = time.Minute

// BeReached has the Service lead here until ctx ends, and to nobody else; the next leader has it lead there. failed is told
// what can't be written, which is tried again.
func (c *Cluster) BeReached(ctx context.Context, r Reached, failed func(error)) {
	again := time.Second
	for ctx.Err() == nil {
		wait := reachedEvery
		if err := c.reached(ctx, r); err != nil && ctx.Err() == nil {
			failed(fmt.Errorf("having Service %s lead here: %w", r.Service, err))
			wait, again = again, min(2*again, reachedEvery)
		} else {
			again = time.Second
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// reached writes the EndpointSlice, which bears the Service's name and goes with it.
func (c *Cluster) reached(ctx context.Context, r Reached) error {
	service, err := c.typed.CoreV1().Services(r.Namespace).Get(ctx, r.Service, metav1.GetOptions{})
	if err != nil {
		return err
	}
	kind := discoveryv1.AddressTypeIPv4
	if r.Address.Is6() {
		kind = discoveryv1.AddressTypeIPv6
	}
	there := applydiscovery.EndpointSlice(r.Service, r.Namespace).
		WithLabels(map[string]string{discoveryv1.LabelServiceName: r.Service, discoveryv1.LabelManagedBy: Manager}).
		WithOwnerReferences(applymeta.OwnerReference().WithAPIVersion("v1").WithKind("Service").WithName(service.Name).WithUID(service.UID)).
		WithAddressType(kind).
		WithEndpoints(applydiscovery.Endpoint().WithAddresses(r.Address.String()).WithConditions(applydiscovery.EndpointConditions().WithReady(true)))
	for _, name := range slices.Sorted(maps.Keys(r.Ports)) {
		there.WithPorts(applydiscovery.EndpointPort().WithName(name).WithPort(r.Ports[name]))
	}
	_, err = c.typed.DiscoveryV1().EndpointSlices(r.Namespace).Apply(ctx, there, metav1.ApplyOptions{FieldManager: Manager, Force: true})
	return err
}
