package devcluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// api is as much of a Kubernetes client as starting a cluster needs.
type api struct {
	server string
	token  string
	client *http.Client
}

func newAPI(server, caFile, token string) (*api, error) {
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	// Beside compilers, the API server was seen to take 10 s for a CRD.
	return &api{server, token, &http.Client{Transport: transport, Timeout: 30 * time.Second}}, nil
}

// call sends body (nil for none) and decodes the answer into result (nil to drop it).
func (a *api) call(ctx context.Context, method, path string, body, result any) error {
	var sent []byte
	if body != nil {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			return err
		}
	}
	kind := "application/json"
	if method == http.MethodPatch {
		kind = "application/merge-patch+json"
	}
	return a.send(ctx, method, path, kind, sent, result)
}

// send sends a body that is marshaled already.
func (a *api) send(ctx context.Context, method, path, kind string, body []byte, result any) error {
	request, err := http.NewRequestWithContext(ctx, method, a.server+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+a.token)
	request.Header.Set("Content-Type", kind)
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return &statusError{method, path, response.StatusCode, string(tail(data))}
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(data, result)
}

// statusError is an answer other than success.
type statusError struct {
	method, path string
	code         int
	body         string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s %s: %d: %s", e.method, e.path, e.code, e.body)
}

// ready says whether the API server serves: its own checks pass and the default namespace exists, which is
// made a moment later and which the first user otherwise misses.
func (a *api) ready(ctx context.Context) error {
	if err := a.call(ctx, http.MethodGet, "/readyz", nil, nil); err != nil {
		return err
	}
	return a.call(ctx, http.MethodGet, "/api/v1/namespaces/default", nil, nil)
}
