package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/reconciler/cluster"
)

// leaderOptions say how others reach the replica that leads, of several: it alone has the page, and heeds webhooks.
type leaderOptions struct{ service, address string }

func (o *leaderOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.service, "leader-service", "", "Service without a selector that is to lead to the replica that leads, to its ports page (of --ui) and webhook")
	f.StringVar(&o.address, "leader-address", "", "this replica's address for it, such as the pod's")
}

// where is the zero value where nothing was said.
func (o *leaderOptions) where(namespace string) (r cluster.Reached, err error) {
	if o.service == "" && o.address == "" {
		return r, nil
	}
	address, err := netip.ParseAddr(o.address)
	if err != nil || o.service == "" {
		return r, usage{errors.New("--leader-service and --leader-address go together, the address as 10.0.3.7")}
	}
	return cluster.Reached{Namespace: namespace, Service: o.service, Address: address, Ports: map[string]int32{}}, nil
}

// listens adds a port, unless it answers nowhere, or on loopback alone.
func listens(r cluster.Reached, name string, at net.Addr) {
	if tcp, ok := at.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() && r.Service != "" {
		r.Ports[name] = int32(tcp.Port)
	}
}

// leadHere has the Service lead here until end is called, which is when this replica leads no more.
func leadHere(ctx context.Context, own *cluster.Cluster, r cluster.Reached, log *slog.Logger) (end func()) {
	if r.Service == "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var being sync.WaitGroup
	being.Go(func() {
		own.BeReached(ctx, r, func(err error) { log.Warn("others may not reach the leader", "error", err) })
	})
	return func() {
		cancel()
		being.Wait()
	}
}

// standsBy says to whoever looks at a replica that does not lead which one does, and how it is reached.
func standsBy(own *cluster.Cluster, namespace, lease string, page *uiOptions, leads func() bool) func(context.Context) string {
	return func(ctx context.Context) string {
		if leads() {
			return ""
		}
		const here = "This replica of davit stands by"
		leader, err := own.Leader(ctx, namespace, lease)
		if err != nil || leader == "" {
			return here + ", and none leads yet. Try again in a moment."
		}
		pod := leader
		if i := strings.LastIndexByte(leader, '_'); i > 0 { // the holder's name ends with the process's number
			pod = leader[:i]
		}
		text := fmt.Sprintf("%s; %s leads and has the page.", here, pod)
		if _, port, err := net.SplitHostPort(page.listen); err == nil && loopback(page.listen) == nil {
			text += fmt.Sprintf(" Where that is a pod: kubectl -n %s port-forward %s %s", namespace, pod, port)
		}
		return text
	}
}
