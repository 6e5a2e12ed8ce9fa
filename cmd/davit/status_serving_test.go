package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

func TestStatusTellsServingMetrics(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	m := v1alpha1.ServingMetrics{At: metav1.NewTime(at), Window: metav1.Duration{Duration: 5 * time.Minute}}
	full, none := m, m
	full.Requests, full.Errors, full.Latency, full.TTFT, full.Tokens = "12.3", "0.004", "1.31", "0.24", "8300"
	none.Message = "Prometheus has no samples of its pods"
	for want, m := range map[string]*v1alpha1.ServingMetrics{
		"": nil,
		"metrics     12.3 requests/s, 0.4% errors, p95 latency 1.31s, p95 first token 240ms, 8300 tokens/s (the 5m to 03:04:05)": &full,
		"metrics     Prometheus has no samples of its pods (the 5m to 03:04:05)":                                                 &none,
	} {
		p := &page{}
		p.served(m)
		if got := strings.Join(strings.Fields(p.String()), " "); got != strings.Join(strings.Fields(want), " ") {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

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
