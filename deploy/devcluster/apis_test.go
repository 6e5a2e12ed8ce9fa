package devcluster

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAPIs(t *testing.T) {
	began := time.Now()
	c := start(t, Config{APIs: APIs()})
	t.Logf("ready after %v", time.Since(began))
	out := kubectl(t, c, "apply", "--dry-run=server", "-f", "testdata/apis.yaml")
	crds := strings.Fields(kubectl(t, c, "get", "customresourcedefinitions", "-o", "jsonpath={range .items[*]}{.spec.names.singular}.{.spec.group} {end}"))
	if len(crds) < len(APIs()) {
		t.Errorf("there are only the CRDs %v", crds)
	}
	for _, crd := range crds {
		if !strings.Contains(out, crd+"/") {
			t.Errorf("testdata/apis.yaml has no %s; the API server took\n%s", crd, out)
		}
	}
}

func TestAPIsCheckTheirObjects(t *testing.T) {
	c := start(t, Config{APIs: []string{"prometheusOperator"}})
	cmd := exec.CommandContext(t.Context(), c.Bin("kubectl"), "--kubeconfig="+c.Kubeconfig, "apply", "--dry-run=server", "-f", "-")
	cmd.Stdin = strings.NewReader(`{apiVersion: monitoring.coreos.com/v1, kind: ServiceMonitor, metadata: {name: iris}, spec: {endpoints: many, selector: {}}}`)
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "spec.endpoints") {
		t.Errorf("a wrong object was answered %v: %s", err, out)
	}
	if out := kubectl(t, c, "api-resources", "-o", "name"); strings.Contains(out, "jobset") {
		t.Errorf("an API that was not asked for is there:\n%s", out)
	}
}

func TestAPIFaults(t *testing.T) {
	for _, test := range []struct {
		cfg  Config
		want []string
	}{
		{Config{APIs: []string{"jobsets"}}, []string{`no API "jobsets"`, "jobset, leaderWorkerSet"}},
		{Config{Controllers: []string{"gatewayAPI"}}, []string{`no controller for "gatewayAPI"`, "have gateway, jobset"}},
		{Config{APIs: []string{"jobset"}, Kubeconfig: "/some/kubeconfig"}, []string{"a cluster of your own"}},
		{Config{Controllers: []string{"jobset"}, Kubeconfig: "/some/kubeconfig"}, []string{"a cluster of your own"}},
		{Config{APIs: []string{"jobset"}, NoControlPlane: true}, []string{"need a control plane"}},
	} {
		_, err := Start(t.Context(), test.cfg)
		if err == nil || slices.ContainsFunc(test.want, func(want string) bool { return !strings.Contains(err.Error(), want) }) {
			t.Errorf("%+v: got %v, want %q", test.cfg, err, test.want)
		}
	}
}
