package reconciler

import (
	"context"
	"fmt"

	"github.com/davit-dev/davit/reconciler/monitor"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// prometheus is the one of an environment's grant; nil when it names none. Its Secret is read whenever it is asked.
func (cfg ControllerConfig) prometheus(mr *v1alpha1.ModelRegistry, g *v1alpha1.Prometheus) (*monitor.Prometheus, error) {
	if g == nil {
		return nil, nil
	}
	config := monitor.Config{URL: g.URL, Labels: g.Labels}
	if g.Secret != "" {
		read := cfg.secret(mr.Namespace)
		config.Credentials = func(ctx context.Context) (map[string]string, error) { return read(ctx, g.Secret) }
	}
	p, err := monitor.New(config)
	if err != nil {
		return nil, fmt.Errorf("prometheus: %w", err)
	}
	return p, nil
}
