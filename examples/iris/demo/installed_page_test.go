package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
)

var forwarding = regexp.MustCompile(`^Forwarding from (127\.0\.0\.1:[0-9]+) -> 8090$`)

// page looks at davit's web page as an administrator does, through a forwarded port: it answers on the pod's loopback alone.
func (d *installed) page(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := d.Command(ctx, d.Cluster.Bin("kubectl"), "port-forward", "-n", system, "deploy/davit", ":8090")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		cancel()
		_ = cmd.Wait()
	}()
	lines := bufio.NewScanner(out)
	var at string
	for at == "" && lines.Scan() {
		if m := forwarding.FindStringSubmatch(lines.Text()); m != nil {
			at = m[1]
		}
	}
	if at == "" {
		return fmt.Errorf("no port is forwarded: %w", lines.Err())
	}
	for path, wants := range map[string][]string{
		"/models":                          {`href="/models/releases/production/iris"`, `href="/models/releases/staging/iris"`},
		"/models/releases/production/iris": {"Deployment", "v2"},
		"/models/gpus":                     {"Nothing waits for GPUs."},
		"/models/trainings":                {"Trainings"},
	} {
		body, err := got(ctx, "http://"+at+path)
		if err != nil {
			return err
		}
		for _, want := range wants {
			if !strings.Contains(body, want) {
				return fmt.Errorf("%s has no %q: %s", path, want, body)
			}
		}
		if strings.Contains(body, `class="warning"`) {
			return fmt.Errorf("%s warns: %s", path, body)
		}
	}
	return nil
}

// got is the body of an answer of 200.
func got(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, answer.Status)
	}
	return string(body), err
}

// leads wants the Service of the leader to lead to the pod that has the Lease.
func (d *installed) leads(ctx context.Context) error {
	kubectl := d.Cluster.Bin("kubectl")
	return d.poll(ctx, "the Service leads to the leader", func(ctx context.Context) (bool, error) {
		holder, err := d.holder(ctx)
		if err != nil {
			return false, err
		}
		pod, _, _ := strings.Cut(holder, "_")
		address, err := d.Output(ctx, kubectl, "get", "pod", "-n", system, pod, "-o", "jsonpath={.status.podIP}")
		if err != nil {
			return false, err
		}
		reached, err := d.Output(ctx, kubectl, "get", "endpointslice", "-n", system, "davit-leader", "-o", "jsonpath={.endpoints[*].addresses[*]} {.ports[*].name} {.ports[*].port}")
		return reached == address+" webhook 9292", err
	})
}
