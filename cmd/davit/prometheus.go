package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/monitor"
)

// prometheusOptions are the flags by which sync finds serving metrics. A registry can't name a server itself.
type prometheusOptions struct {
	url    string
	labels map[string]string
}

// prometheusToken is the environment variable that holds a bearer token for it.
const prometheusToken = "DAVIT_PROMETHEUS_TOKEN"

func (o *prometheusOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.url, "prometheus", "", "ask the Prometheus at this URL for serving metrics and rollout.checks; "+prometheusToken+" is its bearer token, if it wants one")
	f.StringToStringVar(&o.labels, "prometheus-label", nil, "labels that the cluster's series have there, such as cluster=eu-1, where it has those of several")
}

// apply has the reconciler ask it.
func (o *prometheusOptions) apply(cfg *reconciler.Config) (err error) {
	if o.url == "" {
		if len(o.labels) > 0 {
			return usage{errors.New("--prometheus-label is for --prometheus URL")}
		}
		return nil
	}
	config := monitor.Config{URL: o.url, Labels: o.labels}
	if token := os.Getenv(prometheusToken); token != "" {
		config.Credentials = func(context.Context) (map[string]string, error) {
			return map[string]string{"bearerToken": token}, nil
		}
	}
	if cfg.Prometheus, err = monitor.New(config); err != nil {
		return usage{err}
	}
	return nil
}
