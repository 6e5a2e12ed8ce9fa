package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pageFlags have a controller serve the page to who a proxy says comes, at any free port, and the Service lead to it. Its
// address is a pod's, which there is none of; all of them are this machine.
func pageFlags(n int) []string {
	return []string{
		"--ui=:0", "--ui-user-header=X-User", "--ui-proxy=127.0.0.1", "--leader-service=davit-leader", "--leader-address=" + podAddress(n),
	}
}

func podAddress(n int) string { return fmt.Sprintf("10.0.0.%d", n) }

// service makes the Service of deploy/base, and ada an administrator.
func (w *watched) service() {
	w.t.Helper()
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "davit-leader"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "page", Port: 443}}}}
	if _, err := w.client.CoreV1().Services("davit").Create(w.t.Context(), service, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	w.run(w.dev.Bin("kubectl"), "--kubeconfig", w.dev.Kubeconfig, "create", "clusterrolebinding", "ada", "--clusterrole=cluster-admin", "--user=ada")
}

// reached is where the Service leads: to which pod, and the page there. It stands in for the nodes' proxies, which are not here.
func (w *watched) reached() (address, url string) {
	w.t.Helper()
	slice, err := w.client.DiscoveryV1().EndpointSlices("davit").Get(w.t.Context(), "davit-leader", metav1.GetOptions{})
	if err != nil || len(slice.Endpoints) != 1 || len(slice.Ports) != 1 || slice.Labels["kubernetes.io/service-name"] != "davit-leader" {
		return "", ""
	}
	return slice.Endpoints[0].Addresses[0], fmt.Sprintf("http://127.0.0.1:%d", *slice.Ports[0].Port)
}

// looks is what ada gets of a page.
func (w *watched) looks(url string) (status int, body string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("X-User", "ada")
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(text)
}

// pageOfReplicas wants the Service to lead to the leader's page, and the standby to say who leads.
func pageOfReplicas(t *testing.T, w *watched, standby *process) {
	address, url := w.reached()
	if address != podAddress(1) {
		t.Fatalf("the Service leads to %q, and the first leads", address)
	}
	if status, body := w.looks(url + "/models"); status != http.StatusOK || !strings.Contains(body, "/models/releases/production/iris") {
		t.Errorf("the leader's page: %d %s", status, body)
	}
	at := standby.page()
	for _, path := range []string{"/", "/models", "/models/releases/production/iris", "/api/v1/registries", "/api/v1/registries/models/changes"} {
		if status, body := w.looks(at + path); status != http.StatusServiceUnavailable || !strings.Contains(body, "This replica of davit stands by; ") || !strings.Contains(body, " leads and has the page") {
			t.Errorf("the standby at %s: %d %s", path, status, body)
		}
	}
}

// page is where a process serves its page, which it says in its log a moment after it tells that it is alive.
func (p *process) page() (url string) {
	p.w.t.Helper()
	p.w.until("a page is served", func() bool {
		for _, l := range p.lines() {
			if l["msg"] == "serving the web page" {
				at := fmt.Sprint(l["url"])
				url = "http://127.0.0.1" + at[strings.LastIndexByte(at, ':'):]
			}
		}
		return url != ""
	})
	return url
}

// pageAfter kills the leader and waits for the page to be there again, where the Service leads then.
func pageAfter(t *testing.T, w *watched, leader *process) {
	t.Helper()
	leader.end(syscall.SIGKILL)
	began := time.Now()
	w.until("the page is there again", func() bool {
		address, url := w.reached()
		if address != podAddress(2) {
			return false
		}
		status, body := w.looks(url + "/models")
		return status == http.StatusOK && strings.Contains(body, "/models/releases/production/iris")
	})
	took := time.Since(began)
	if t.Logf("the page was there again %s after the leader was killed", took.Round(100*time.Millisecond)); took > 90*time.Second {
		t.Errorf("the page was away for %s", took)
	}
}

// pageByDefault wants a page on loopback, as it is installed, to say who leads; and, when it leads, to be whole for its first
// visitor, for whom it begins to watch.
func pageByDefault(t *testing.T, w *watched, leader *process) {
	third := w.control("--ui=127.0.0.1:0")
	at := third.page()
	if status, body := w.looks(at + "/models"); status != http.StatusServiceUnavailable || !strings.Contains(body, "kubectl -n davit port-forward ") {
		t.Errorf("standing by: %d %s", status, body)
	}
	leader.end(syscall.SIGTERM)
	w.until("it leads", func() bool { return third.count("leading", "", "") == 1 })
	w.until("its page is there", func() bool {
		status, body := w.looks(at + "/models")
		return status == http.StatusOK && strings.Contains(body, "/models/releases/production/iris")
	})
}
