package cluster_test

import (
	"testing"

	"k8s.io/client-go/rest"

	"github.com/davit-dev/davit/reconciler/cluster"
)

func TestNear(t *testing.T) {
	for host, near := range map[string]bool{
		"https://127.0.0.1:6443": true, "https://localhost:6443": true, "https://[::1]:6443": true, "localhost": true,
		"https://10.96.0.1:443": true, "10.96.0.1": true, "https://[fd00::1]:443": true, "https://192.168.3.4/k8s/clusters/one": true,
		"https://203.0.113.7:6443": false, "https://api.example.com": false, "https://10.example.com": false, "https://[2001:db8::1]": false,
		"https://": false,
	} {
		if got := cluster.Near(&rest.Config{Host: host}); got != near {
			t.Errorf("%s is near: %v", host, got)
		}
	}
}
