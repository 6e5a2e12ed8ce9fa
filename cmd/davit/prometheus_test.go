package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/davit-dev/davit/reconciler"
)

func TestPrometheusFlags(t *testing.T) {
	for _, o := range []prometheusOptions{
		{url: "prometheus:9090"}, {url: "http://ada:pw@prometheus"}, {labels: map[string]string{"cluster": "eu"}},
		{url: "http://prometheus", labels: map[string]string{"pod": "other"}},
	} {
		var cfg reconciler.Config
		if err := o.apply(&cfg); !errors.As(err, new(usage)) || cfg.Prometheus != nil || strings.Contains(err.Error(), "pw") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	var cfg reconciler.Config
	if err := (&prometheusOptions{}).apply(&cfg); err != nil || cfg.Prometheus != nil {
		t.Errorf("nobody is asked: %v, %v", err, cfg.Prometheus)
	}
	if err := (&prometheusOptions{url: "http://prometheus:9090", labels: map[string]string{"cluster": "eu"}}).apply(&cfg); err != nil || cfg.Prometheus == nil {
		t.Error(err)
	}
}
