package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// smokeTimeout bounds one smoke test.
const smokeTimeout = 10 * time.Second

// SmokeError says that the model answered, and not as expected.
type SmokeError struct {
	Code   int
	Expect string
	// Answer is the beginning of the body. It may hold what must not go into Git.
	Answer string
}

func (e *SmokeError) Error() string {
	if e.Code < 200 || e.Code > 299 {
		return fmt.Sprintf("smoke test: the model answered with HTTP status %d", e.Code)
	}
	return fmt.Sprintf("smoke test: the answer does not contain %q", e.Expect)
}

// Smoke is one request and what its answer must contain.
type Smoke struct {
	Namespace, Service string
	// Port is the Service's port; its first one when zero.
	Port int
	// Path may have a query.
	Path string
	// Body is sent by POST; without one the request is a GET.
	Body string
	// Expect must occur in the answer; empty: the status alone counts.
	Expect string
}

// SmokeTest sends a request to a Service through the API server. The answer must have a 2xx status and
// contain what is expected. A bad answer is a *SmokeError; any other error means that nobody answered within
// 10 s, and may pass.
func (c *Cluster) SmokeTest(ctx context.Context, s Smoke) error {
	ctx, cancel := context.WithTimeout(ctx, smokeTimeout)
	defer cancel()
	req, err := c.smokeRequest(ctx, s)
	if err != nil {
		return fmt.Errorf("smoke test: %w", err)
	}
	code := 0
	result := req.Do(ctx).StatusCode(&code)
	answer, err := result.Raw()
	if err != nil && !answered(err, answer) {
		return fmt.Errorf("smoke test: reaching service %s: %w", s.Service, err)
	}
	if code < 200 || code > 299 || !strings.Contains(string(answer), s.Expect) {
		return &SmokeError{Code: code, Expect: s.Expect, Answer: string(answer[:min(len(answer), 1024)])}
	}
	return nil
}

func (c *Cluster) smokeRequest(ctx context.Context, s Smoke) (*rest.Request, error) {
	u, err := url.Parse(s.Path)
	if err != nil {
		return nil, err
	}
	if slices.Contains(strings.Split(u.Path, "/"), "..") { // client-go joins it to the Service's own, which it would leave
		return nil, fmt.Errorf("path %q leaves the server; take \"..\" out", u.Path)
	}
	if s.Port == 0 {
		service, err := c.as.typed.CoreV1().Services(s.Namespace).Get(ctx, s.Service, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		if len(service.Spec.Ports) > 0 {
			s.Port = int(service.Spec.Ports[0].Port)
		}
	}
	req := c.as.typed.CoreV1().RESTClient().Get()
	if s.Body != "" {
		req = c.as.typed.CoreV1().RESTClient().Post().SetHeader("Content-Type", "application/json").Body([]byte(s.Body))
	}
	req = req.Namespace(s.Namespace).Resource("services").Name(fmt.Sprintf("%s:%d", s.Service, s.Port)).
		SubResource("proxy").Suffix(u.Path).MaxRetries(0).SetHeader("Accept", "*/*")
	for key, values := range u.Query() {
		for _, v := range values {
			req = req.Param(key, v)
		}
	}
	return req, nil
}

// answered tells the model's error status from the API server's own, which says so in a Status object or, if
// it did not reach the pod, in a plain sentence.
func answered(err error, body []byte) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	var own metav1.Status
	if json.Unmarshal(body, &own) == nil && own.Kind == "Status" && own.APIVersion == "v1" {
		return false
	}
	text := strings.ToLower(string(body))
	return status.Status().Code != http.StatusTooManyRequests && !strings.Contains(text, "error trying to reach service")
}
