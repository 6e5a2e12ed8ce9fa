package devcluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
)

// PublicGateway is the Gateway that the controller "gateway" brings, as a release's route names it. Routes of every
// namespace may use it.
const PublicGateway = gatewayNamespace + "/" + gatewayName

const gatewayController, gatewayNamespace, gatewayName = "gateway", "gateways", "public"

func (c Config) gateway() bool { return slices.Contains(c.Controllers, gatewayController) }

// startGateway starts Traefik as a process of this machine, with its class and one Gateway, and returns the host:port
// of the Gateway's listener when it works. There is no kube-proxy, and none is needed: Traefik sends requests to the
// addresses of pods, not of Services.
func (s *supervisor) startGateway(ctx context.Context, c *controlPlane) (string, error) {
	ports, err := freePorts(1)
	if err != nil {
		return "", err
	}
	const host = "127.0.0.1"
	address := fmt.Sprintf("%s:%d", host, ports[0])
	config, err := json.MarshalIndent(map[string]any{
		"global":      map[string]any{"checkNewVersion": false, "sendAnonymousUsage": false},
		"log":         map[string]any{"level": "WARN", "noColor": true},
		"entryPoints": map[string]any{"http": map[string]any{"address": address}},
		"providers": map[string]any{
			"kubernetesGateway":         map[string]any{"statusAddress": map[string]any{"ip": host}},
			"providersThrottleDuration": "100ms", // of 2s, for which a change of weights would wait
		},
	}, "", "  ")
	if err != nil {
		return "", err
	}
	file := s.path("traefik.yaml") // a name that ends otherwise is not read
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return "", err
	}
	// Inside a pod of another cluster it would serve that one.
	env := []string{"KUBECONFIG=" + c.kubeconfig, "KUBERNETES_SERVICE_HOST="}
	traefik, err := s.start("traefik", env, "--configFile="+file) // or it reads those in /etc and in the user's home
	if err != nil {
		return "", err
	}
	if err := c.api.makeGateway(ctx, ports[0]); err != nil {
		return "", fmt.Errorf("making the Gateway %s: %w", PublicGateway, err)
	}
	return address, traefik.until(ctx, c.api.gatewayProgrammed)
}

const gatewayPath = "/apis/gateway.networking.k8s.io/v1"

// makeGateway makes its class and namespace too. Traefik finds the entry point by the listener's port.
func (a *api) makeGateway(ctx context.Context, port int) error {
	for _, object := range [][2]string{
		{gatewayPath + "/gatewayclasses", `{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: traefik},
  spec: {controllerName: traefik.io/gateway-controller}}`},
		{"/api/v1/namespaces", `{apiVersion: v1, kind: Namespace, metadata: {name: ` + gatewayNamespace + `}}`},
		{gatewayPath + "/namespaces/" + gatewayNamespace + "/gateways", fmt.Sprintf(`{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: %s},
  spec: {gatewayClassName: traefik, listeners: [{name: http, protocol: HTTP, port: %d, allowedRoutes: {namespaces: {from: All}}}]}}`, gatewayName, port)},
	} {
		if err := a.send(ctx, http.MethodPost, object[0], "application/yaml", []byte(object[1]), nil); err != nil {
			return err
		}
	}
	return nil
}

func (a *api) gatewayProgrammed(ctx context.Context) error {
	var gateway struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := a.call(ctx, http.MethodGet, gatewayPath+"/namespaces/"+gatewayNamespace+"/gateways/"+gatewayName, nil, &gateway); err != nil {
		return err
	}
	for _, c := range gateway.Status.Conditions {
		if c.Type != "Programmed" {
			continue
		}
		if c.Status == "True" {
			return nil
		}
		return errors.New("the Gateway " + PublicGateway + " is not programmed: " + c.Message)
	}
	return errors.New("the Gateway " + PublicGateway + " has no controller yet")
}
