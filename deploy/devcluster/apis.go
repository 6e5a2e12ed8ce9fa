package devcluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// thirdParty is an API that a cluster can have besides Kubernetes' own. Its CRDs are read from its module in Go's
// module cache, so that a cluster has the real ones and the repository no copy of them.
type thirdParty struct {
	name       string   // as Config.APIs says it
	controller string   // as Config.Controllers says it; empty where none can be had
	pinned     string   // the nested module below build that pins it
	module     string   // its module's path
	crds       []string // patterns of the files that hold one CRD each, named <group>_<plural>.yaml
	manager    *manager // its controller; nil where there is none, and of the gateway, which has no webhooks
}

// Kueue's CRDs get their conversion webhooks from patches beside them: the files alone have none, and so work
// without a controller.
var thirdParties = []thirdParty{
	{name: "gatewayAPI", controller: gatewayController, pinned: "apis", module: "sigs.k8s.io/gateway-api", crds: []string{ // the standard channel, but not its policy that guards upgrades
		"config/crd/standard/gateway.networking.k8s.io_gateway*.yaml", "config/crd/standard/gateway.networking.k8s.io_*routes.yaml",
		"config/crd/standard/gateway.networking.k8s.io_referencegrants.yaml", "config/crd/standard/gateway.networking.k8s.io_backendtlspolicies.yaml"}},
	{name: "jobset", controller: "jobset", pinned: "jobset", module: "sigs.k8s.io/jobset", crds: []string{"config/components/crd/bases/*.yaml"},
		manager: &manager{part: PartJobSet, binary: "jobset-manager", config: "config.jobset.x-k8s.io/v1alpha1", webhooks: "config/components/webhook"}},
	{name: "leaderWorkerSet", controller: "leaderWorkerSet", pinned: "lws", module: "sigs.k8s.io/lws", crds: []string{"config/crd/bases/*.yaml"},
		manager: &manager{part: PartLWS, binary: "lws-manager", config: "config.lws.x-k8s.io/v1alpha1", webhooks: "config/webhook"}},
	{name: "kueue", controller: "kueue", pinned: "kueue", module: "sigs.k8s.io/kueue", crds: []string{"config/components/crd/bases/*.yaml"}, manager: kueueManager},
	{name: "kserve", pinned: "apis", module: "github.com/kserve/kserve", crds: []string{
		"config/crd/full/serving.kserve.io_inferenceservices.yaml", "config/crd/full/serving.kserve.io_*servingruntimes.yaml"}},
	{name: "prometheusOperator", pinned: "apis", module: "github.com/prometheus-operator/prometheus-operator", crds: []string{
		"example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml", "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml"}},
}

// APIs are the names that Config.APIs may hold.
func APIs() []string {
	var names []string
	for _, t := range thirdParties {
		names = append(names, t.name)
	}
	return names
}

// apis are the third-party APIs asked for, those that a controller implies included.
func (c Config) apis() []thirdParty {
	var wanted []thirdParty
	for _, t := range thirdParties {
		if slices.Contains(c.APIs, t.name) || slices.Contains(c.Controllers, t.controller) {
			wanted = append(wanted, t)
		}
	}
	return wanted
}

func (c Config) checkAPIs() error {
	if len(c.APIs)+len(c.Controllers) == 0 {
		return nil
	}
	var faults []error
	if c.Kubeconfig != "" {
		faults = append(faults, errors.New("nothing is installed in a cluster of your own: leave Kubeconfig, or APIs and Controllers, empty"))
	}
	if c.NoControlPlane {
		faults = append(faults, errors.New("APIs and controllers need a control plane"))
	}
	for _, name := range c.APIs {
		if !slices.Contains(APIs(), name) {
			faults = append(faults, fmt.Errorf("there is no API %q (have %s)", name, strings.Join(APIs(), ", ")))
		}
	}
	for _, name := range c.Controllers {
		if !slices.Contains(Controllers(), name) {
			faults = append(faults, fmt.Errorf("there is no controller for %q (have %s)", name, strings.Join(Controllers(), ", ")))
		}
	}
	return errors.Join(faults...)
}

// dir downloads the module, unless Go's cache has it, and returns its folder there.
func (t thirdParty) dir(ctx context.Context) (string, error) {
	source, err := sourceDir(ctx)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", t.module)
	cmd.Dir = filepath.Join(source, "build", t.pinned)
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	out, failed := cmd.Output()
	var module struct{ Dir, Error string } // it tells an error here too
	if err := json.Unmarshal(out, &module); err != nil || failed != nil {
		return "", fmt.Errorf("downloading %s: %w: %s", t.module, errors.Join(failed, err), module.Error)
	}
	return module.Dir, nil
}

// modules are the folders of the APIs' modules, by the APIs' names.
func modules(ctx context.Context, apis []thirdParty) (map[string]string, error) {
	dirs := map[string]string{}
	for _, t := range apis {
		dir, err := t.dir(ctx)
		if err != nil {
			return nil, err
		}
		dirs[t.name] = dir
	}
	return dirs, nil
}

// crdFiles are the files of the CRDs of all APIs that are asked for.
func (s *supervisor) crdFiles() ([]string, error) {
	var files []string
	for _, t := range s.config.apis() {
		for _, pattern := range t.crds {
			found, err := filepath.Glob(filepath.Join(s.modules[t.name], filepath.FromSlash(pattern)))
			if err != nil || len(found) == 0 {
				return nil, fmt.Errorf("finding the CRDs of %s: nothing is called %s in %s", t.name, pattern, s.modules[t.name])
			}
			files = append(files, found...)
		}
	}
	return files, nil
}

// installAPIs returns when the API server serves all of them. Four at a time keep it busy; all at once, some of
// which are a megabyte, would each take longer than a request may.
func (s *supervisor) installAPIs(ctx context.Context, c *controlPlane) error {
	files, err := s.crdFiles()
	if err != nil {
		return err
	}
	slots, done := make(chan bool, 4), make(chan error)
	for _, file := range files {
		go func() {
			slots <- true
			err := c.api.installCRD(ctx, file)
			<-slots
			done <- err
		}()
	}
	var failed []error
	for range files {
		failed = append(failed, <-done)
	}
	return errors.Join(failed...)
}

const crdPath = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

// installCRD creates it and waits. The cluster is new: there is none to update, and a create costs the API server
// less than an apply.
func (a *api) installCRD(ctx context.Context, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := a.send(ctx, http.MethodPost, crdPath, "application/yaml", data, nil); err != nil {
		return fmt.Errorf("installing %s: %w", file, err)
	}
	group, plural, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".yaml"), "_")
	for {
		err := a.served(ctx, plural+"."+group)
		if err == nil {
			return nil
		}
		if pause(ctx) != nil {
			return fmt.Errorf("installing %s: %w", file, err)
		}
	}
}

// served fails until the CRD is established and each of its versions is served.
func (a *api) served(ctx context.Context, name string) error {
	var crd struct {
		Spec struct {
			Group    string
			Names    struct{ Plural string }
			Versions []struct {
				Name   string
				Served bool
			}
		}
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := a.call(ctx, http.MethodGet, crdPath+"/"+name, nil, &crd); err != nil {
		return err
	}
	for _, condition := range crd.Status.Conditions {
		if condition.Type == "Established" && condition.Status == "True" {
			for _, v := range crd.Spec.Versions {
				if !v.Served {
					continue
				}
				if err := a.call(ctx, http.MethodGet, "/apis/"+crd.Spec.Group+"/"+v.Name+"/"+crd.Spec.Names.Plural, nil, nil); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return fmt.Errorf("the CRD %s is not established: %+v", name, crd.Status.Conditions)
}
