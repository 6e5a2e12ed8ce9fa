package render

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// TestPanic runs panics beside readers of the schema: under -race a reset in their midst would show.
func TestPanic(t *testing.T) {
	deployment := yaml.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, err := guarded(func() (resmap.ResMap, error) {
				if openapi.SchemaForResourceType(deployment) == nil {
					return nil, errors.New("the schema is gone")
				}
				panic("hostile")
			})
			if err == nil || !strings.Contains(err.Error(), "kustomize panicked: hostile") {
				t.Errorf("error %v", err)
			}
		})
	}
	wg.Wait()
	if !hasSchema(deployment) {
		t.Error("the schema is gone")
	}
}
