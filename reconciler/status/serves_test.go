package status

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

func TestMetrics(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	m := v1alpha1.ServingMetrics{At: metav1.NewTime(at), Window: metav1.Duration{Duration: 5 * time.Minute}}
	full, none := m, m
	full.Requests, full.Errors, full.Latency, full.TTFT, full.Tokens = "12.3", "0.004", "1.31", "0.24", "8300"
	none.Message = "Prometheus has no samples of its pods"
	for want, m := range map[string]*v1alpha1.ServingMetrics{
		"": nil,
		"12.3 requests/s, 0.4% errors, p95 latency 1.31s, p95 first token 240ms, 8300 tokens/s (the 5m to 03:04:05)": &full,
		"Prometheus has no samples of its pods (the 5m to 03:04:05)":                                                 &none,
	} {
		if got := Metrics(m); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}
