package render

import (
	"fmt"
	"sync"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// schema guards Kustomize's schema, a global of the process that builds read without a lock: a reset waits
// for the other builds to end, or they would lose the schema in their midst.
var schema sync.RWMutex

// build runs Kustomize in memory on dir of the tree. A panic in it is the input's fault, and may leave the
// global schema half changed.
func build(tree map[string][]byte, dir string) (built resmap.ResMap, err error) {
	memory := filesys.MakeFsInMemory()
	for name, data := range tree {
		if err := memory.WriteFile("/"+name, data); err != nil {
			return nil, fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return guarded(func() (resmap.ResMap, error) {
		options := krusty.MakeDefaultOptions()
		// The default asks for another order than sortOptions does, and warns of that on stderr.
		options.Reorder = krusty.ReorderOptionUnspecified
		options.LoadRestrictions = types.LoadRestrictionsRootOnly
		options.PluginConfig = types.DisabledPluginConfig()
		return krusty.MakeKustomizer(options).Run(memory, "/"+dir)
	})
}

// guarded turns a panic of run into an error and gives the next build a fresh schema.
func guarded(run func() (resmap.ResMap, error)) (built resmap.ResMap, err error) {
	panicked := true
	defer func() {
		if panicked {
			p := recover()
			schema.Lock()
			defer schema.Unlock()
			openapi.ResetOpenAPI()
			built, err = nil, fmt.Errorf("kustomize panicked: %v", p)
		}
	}()
	schema.RLock()
	defer schema.RUnlock()
	built, err = run()
	panicked = false
	return built, err
}
