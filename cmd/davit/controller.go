package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
)

// namespaceFile holds the namespace of a pod's service account.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

func controllerCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "controller",
		Short: "Follow every ModelRegistry of a namespace, with the rights it grants",
		Long: "Runs in a cluster, or anywhere with a kubeconfig. Of several replicas one leads, by a Lease; the others\n" +
			"take over within seconds. With --environments several controllers share one fleet: each has a Lease of\n" +
			"its own and neither applies nor deletes what is another's.\n\n" +
			"Where OTEL_EXPORTER_OTLP_ENDPOINT names an OpenTelemetry collector (OTLP over HTTP, port 4318), the way of\n" +
			"each commit is a trace; its id is the first 32 digits of the commit's hash.",
	}
	a.signs(c)
	o := &observeOptions{}
	f := c.Flags()
	o.flags(f, ":8080")
	namespace := f.String("namespace", "", "the namespace of the ModelRegistries (default: the pod's own)")
	environments := f.StringSlice("environments", nil, "work on these environments only")
	webhook := f.String("webhook", "", "receive webhooks of forges at this address, at /hooks/<name of the ModelRegistry>")
	webhookCert := f.String("webhook-cert", "", "serve webhooks over https with the certificate in this file; replaced, it is read anew")
	webhookKey := f.String("webhook-key", "", "file with the certificate's key")
	page := &uiOptions{}
	page.flags(f)
	page.access.flags(f)
	leader := &leaderOptions{}
	leader.flags(f)
	mirrors := f.String("mirrors", "", "folder for the mirrors of the repositories (default: in the user's cache)")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stderr := cmd.Context(), cmd.ErrOrStderr()
		log, err := o.log(stderr)
		if err != nil {
			return err
		}
		klog.SetSlogLogger(log)
		if err := here(namespace, mirrors); err != nil {
			return err
		}
		reached, err := leader.where(*namespace)
		if err != nil {
			return err
		}
		config, err := a.follow()
		if err != nil {
			return err
		}
		watched, stop, err := o.observe(ctx, log)
		if err != nil {
			return err
		}
		defer stop()
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("finding a name for this process: %w", err)
		}
		own, err := cluster.New(ctx, cluster.Config{
			REST: watched.count(config), Log: log, Owner: "davit", Holder: fmt.Sprintf("%s_%d", host, os.Getpid()), Namespaces: []string{*namespace},
		})
		if err != nil {
			return err
		}
		if err := own.CheckOwn(ctx, *namespace); err != nil {
			return err
		}
		builder, err := a.images(onTerminal(stderr), log)
		if err != nil {
			return err
		}
		received := &hooks{handlers: map[string]http.Handler{}}
		unreceive, err := received.begin(ctx, *webhook, *webhookCert, *webhookKey, log)
		if err != nil {
			return err
		}
		defer unreceive()
		shown, unshow, err := page.serve(ctx, "", standsBy(own, *namespace, lease(*environments), page, watched.leads.Load), log)
		if err != nil {
			return err
		}
		defer unshow()
		listens(reached, "webhook", received.at)
		listens(reached, "page", shown.address())
		return uninstalled(own.Lead(ctx, *namespace, lease(*environments), func(ctx context.Context) error {
			defer watched.lead()()
			defer leadHere(ctx, own, reached, log)()
			log.Info("leading", "namespace", *namespace, "lease", lease(*environments))
			return reconciler.Control(ctx, reconciler.ControllerConfig{
				Cluster: own, Namespace: *namespace, Mirrors: *mirrors, Images: builder, Only: *environments, Log: log,
				Hook: received.add, Metrics: watched.metrics, Tracer: watched.tracer, Following: shown.following(),
			})
		}))
	}
	return c
}

// here fills in what was not said: the pod's own namespace, and a folder for mirrors in the user's cache.
func here(namespace, mirrors *string) error {
	if *namespace == "" {
		own, err := os.ReadFile(namespaceFile)
		if err != nil {
			return usage{fmt.Errorf("not in a pod: pass --namespace")}
		}
		*namespace = strings.TrimSpace(string(own))
	}
	if *mirrors == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("finding a folder for mirrors: %w; pass --mirrors", err)
		}
		*mirrors = filepath.Join(cache, "davit", "registries", *namespace)
	}
	return nil
}

// begin receives webhooks at an address, or none at "", until stop is called.
func (h *hooks) begin(ctx context.Context, address, cert, key string, log *slog.Logger) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	config, over, err := overTLS(ctx, "webhook", cert, key, log)
	if err != nil {
		return nil, err
	}
	h.tls = config
	unserve, err := h.serve(ctx, address, log)
	if err != nil {
		over()
		return nil, fmt.Errorf("receiving webhooks: %w", err)
	}
	return func() { unserve(); over() }, nil
}

// lease is the name of the Lease that chooses among controllers of the same environments.
func lease(environments []string) string {
	return strings.Join(append([]string{"davit"}, slices.Sorted(slices.Values(environments))...), "-")
}
