package registry

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// The kinds of workload a runtime may have.
const (
	deployment       = "Deployment"
	statefulSet      = "StatefulSet"
	inferenceService = "InferenceService"
)

func checkRuntime(doc *document, rt *Runtime, files listing) []Fault {
	f := faultsOf{doc: doc}
	w := rt.Spec.Workload
	kserve := w.Kind == inferenceService
	switch {
	case w.APIVersion == "" || w.Kind == "" || w.Name == "":
		f.add([]string{"workload"}, "workload needs apiVersion, kind and name of the object that runs the server")
	case kserve && w.APIVersion == "serving.kserve.io/v1beta1", w.APIVersion == "apps/v1" && (w.Kind == deployment || w.Kind == statefulSet):
	default:
		f.add([]string{"workload"}, "workload kind %s %s can't be served; write a Deployment or StatefulSet of apps/v1, or an InferenceService of serving.kserve.io/v1beta1", w.APIVersion, w.Kind)
	}
	if kserve {
		checkKServe(&f, rt)
	} else {
		checkServer(&f, rt)
	}
	if p := rt.Spec.ModelPath; p != "" && !path.IsAbs(p) {
		f.add([]string{"modelPath"}, "modelPath %q is not absolute", p)
	}
	checkPlaceholders(&f, rt)
	checkMeasures(&f, rt.Spec.Metrics.Measures)
	if m := rt.Spec.MultiNode; m != nil {
		checkMultiNode(&f, rt, files)
	}
	return f.faults
}

func checkServer(f *faultsOf, rt *Runtime) {
	if rt.Spec.Container == "" {
		f.add([]string{"container"}, "spec.container is missing; name the server's container")
	} else if !dnsLabel.ok(rt.Spec.Container) {
		f.add([]string{"container"}, "container %q is not %s", rt.Spec.Container, dnsLabel.text)
	}
	if rt.Spec.Port < 1 || rt.Spec.Port > 65535 {
		f.add([]string{"port"}, "port: %d is not between 1 and 65535", rt.Spec.Port)
	}
	if fault := imageFault(rt.Spec.Image); fault != "" && !strings.Contains(rt.Spec.Image, "@") {
		f.add([]string{"image"}, "%s (davit runtime add resolves a tag)", fault)
	} else if fault != "" {
		f.add([]string{"image"}, "%s", fault)
	}
}

// Placeholders are what the values of a runtime's arguments and variables may name of a release, as {model}.
var Placeholders = []string{"model", "release", "modelPath", "port", "gpus", "nodes"}

var braced = regexp.MustCompile(`\{([A-Za-z]+)\}`)

// checkPlaceholders refuses words in braces that are none, which would go to the server as they are.
func checkPlaceholders(f *faultsOf, rt *Runtime) {
	check := func(field []string, value string) {
		for _, m := range braced.FindAllStringSubmatch(value, -1) {
			if !slices.Contains(Placeholders, m[1]) {
				f.add(field, "%s of a release is not known%s", m[0], nearest(m[1], Placeholders))
			}
		}
	}
	for _, key := range sortedKeys(rt.Spec.Args) {
		check([]string{"args", key}, rt.Spec.Args[key].Value)
	}
	for _, name := range sortedKeys(rt.Spec.Env) {
		check([]string{"env", name}, rt.Spec.Env[name].Value)
	}
}

// fixed refuses arguments that the base's ports and probes rest on.
func (c *check) fixed(r *Release) {
	for _, key := range sortedKeys(r.Serving.Args) {
		if arg, ok := r.Runtime.Spec.Args[key]; ok && strings.Contains(arg.Value, "{port}") {
			c.fault([]string{"args", key}, "args.%s is the port that the Service and the probes of runtime %s ask, and can't be changed here; remove it", key, r.Runtime)
		}
	}
}

// checkKServe refuses what KServe decides by itself.
func checkKServe(f *faultsOf, rt *Runtime) {
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"service", rt.Spec.Service != ""}, {"container", rt.Spec.Container != ""}, {"image", rt.Spec.Image != ""},
		{"multiNode", rt.Spec.MultiNode != nil}, {"metrics", rt.Spec.Metrics.Port != ""},
	} {
		if field.set {
			f.add([]string{field.name}, "%s is KServe's to choose for an InferenceService; remove it", field.name)
		}
	}
	if len(rt.Spec.Formats) == 0 {
		f.add(nil, "spec.formats is missing; list the model formats, which KServe chooses its server by")
	}
}

func checkMultiNode(f *faultsOf, rt *Runtime, files listing) {
	m := rt.Spec.MultiNode
	if rt.Spec.Workload.Kind != deployment {
		f.add([]string{"multiNode"}, "multiNode needs a Deployment as workload")
	}
	if sub := files.find(m.Base); m.Base == "" || sub == nil || !sub.IsDir() {
		f.add([]string{"multiNode", "base"}, "multiNode.base %q is not the name of a folder beside runtime.yaml", m.Base)
	}
	if m.Worker == "" || m.Worker == rt.Spec.Workload.Name {
		f.add([]string{"multiNode", "worker"}, "multiNode.worker: name the workers' Deployment, another than the leader's, which is %q", rt.Spec.Workload.Name)
	}
}

// server checks what the release wants of its runtime.
func (c *check) server(r *Release) {
	rt, env := r.Runtime, r.Environment
	if rt == nil || env == nil {
		return
	}
	if rt.Spec.Workload.Kind == inferenceService {
		c.feature("runtime", r, KServe, "runtime "+rt.String())
	}
	if !env.MountsImages() && env.Spec.ModelLoader.Image == "" {
		c.fault([]string{"runtime"}, "Kubernetes %s does not mount images, so that a modelLoader is needed; write modelLoader: {image: DAVIT@sha256:…} in %s, or the feature %s there",
			env.Spec.Capabilities.Kubernetes, env.Path, ImageVolume)
	}
	if v := r.ModelVersion; v != nil && len(rt.Spec.Formats) > 0 {
		if _, ok := rt.Spec.Formats[v.Spec.Format]; !ok {
			c.fault([]string{"runtime"}, "runtime %s can't serve version %q, whose format is %q (it serves %s)", rt, v.Name, v.Spec.Format, some(sortedKeys(rt.Spec.Formats)))
		}
	}
	c.fixed(r)
	c.digit(r)
	c.nodes(r)
	if acc := r.Accelerator; acc != nil && acc.Spec.Claim != "" {
		c.feature("accelerator", r, DRA, "accelerator "+acc.Name)
		if rt.Spec.Workload.Kind == inferenceService {
			c.fault([]string{"accelerator"}, "accelerator %s is claimed from a driver, which an InferenceService can't; name one that a device plugin counts", acc.Name)
		}
	}
}

// digit refuses a name that begins with one where something that bears it must begin with a letter (RFC 1035).
func (c *check) digit(r *Release) {
	refuses := ""
	switch {
	case r.Name[0] > '9':
	case r.Runtime.Spec.Workload.Kind == inferenceService:
		refuses = "KServe"
	case r.MultiNode():
		refuses = LeaderWorkerSet
	case r.Runtime.Spec.Service != "" && !r.Environment.Spec.Capabilities.AtLeast(36):
		refuses = "a Service before Kubernetes 1.36"
	}
	if refuses != "" {
		c.fault([]string{"runtime"}, "release name %q begins with a digit, which %s refuses; rename %s", r.Name, refuses, r.Dir)
	}
}

func (c *check) nodes(r *Release) {
	s := &r.Serving
	switch {
	case s.Nodes < 0:
		c.fault([]string{"nodes"}, "nodes: %d is less than 0", s.Nodes)
	case s.Nodes > 1 && r.Runtime.Spec.MultiNode == nil:
		c.fault([]string{"nodes"}, "nodes: %d, and runtime %s serves on one node only", s.Nodes, r.Runtime)
	case s.Nodes > 1:
		c.feature("nodes", r, LeaderWorkerSet, "serving on several nodes")
	}
}

// MultiNode says whether a replica of the release spans several nodes.
func (r *Release) MultiNode() bool { return r.Serving.Nodes > 1 }

// BaseDir is the folder of the runtime's base that the release is built on.
func (r *Release) BaseDir() string {
	if r.MultiNode() {
		return path.Join(r.Runtime.Dir, r.Runtime.Spec.MultiNode.Base)
	}
	return r.Runtime.Dir
}

// checkAccelerator wants one way to count GPUs.
func checkAccelerator(doc *document, spec *AcceleratorSpec) []Fault {
	f := faultsOf{doc: doc}
	set := slices.DeleteFunc([]string{spec.Resource, spec.Claim}, func(s string) bool { return s == "" })
	if len(set) != 1 {
		f.add(nil, "write spec.resource, which gpus counts, such as nvidia.com/gpu, or else spec.claim, the Component's ResourceClaimTemplate")
	}
	return f.faults
}
