package registry

// ServingPolicy is what an environment's releases get beside their servers.
type ServingPolicy struct {
	// DisruptionBudget lets a drain take one pod at a time from a release that has two or more.
	DisruptionBudget bool `yaml:"disruptionBudget"`
	// NetworkPolicy lets in nobody but whom it names; everybody when nil.
	NetworkPolicy *NetworkPolicy `yaml:"networkPolicy"`
	// ServiceMonitor has Prometheus ask the servers whose runtimes tell metrics. It needs the feature
	// prometheusOperator.
	ServiceMonitor bool `yaml:"serviceMonitor"`
}

// NetworkPolicy says who may send requests to the releases of an environment.
type NetworkPolicy struct {
	// Namespaces are those whose pods may, besides the environment's own: the gateway's, Prometheus'.
	Namespaces []string `yaml:"namespaces"`
}

// Publisher is the last container of a training's pods: davit's own image, which publishes /output. It runs when the
// trainer has ended well, so that this is an init container and its pods are not ready while it runs: Kueue's
// waitForPodsReady, off by default, would evict them for that.
type Publisher struct {
	// Image is davit's, with its digest. No run starts in an environment without it.
	Image string `yaml:"image"`
	// PushSecret is a Secret of the environment's namespace, of type kubernetes.io/dockerconfigjson, that may push to the
	// registry's images; the pod's own identity pushes when empty.
	PushSecret string `yaml:"pushSecret"`
}

// ModelLoader is an init container that copies a model image's files into its pod.
type ModelLoader struct {
	// Image is davit's own with its digest: it runs `davit pull`.
	Image string `yaml:"image"`
	// PullSecret is a Secret of type kubernetes.io/dockerconfigjson in the environment's namespace; none when empty.
	PullSecret string `yaml:"pullSecret"`
}

func checkServingPolicy(f *faultsOf, spec *EnvironmentSpec) {
	if spec.Serving.ServiceMonitor && !spec.Capabilities.Has(PrometheusOperator) {
		f.add([]string{"serving", "serviceMonitor"}, "serviceMonitor needs %s; write it under capabilities.features", PrometheusOperator)
	}
	if p := spec.Serving.NetworkPolicy; p != nil {
		for _, ns := range p.Namespaces {
			if !dnsLabel.ok(ns) {
				f.add([]string{"serving", "networkPolicy", "namespaces"}, "namespace %q is not %s", ns, dnsLabel.text)
			}
		}
	}
	if fault := imageFault(spec.ModelLoader.Image); spec.ModelLoader.Image != "" && fault != "" {
		f.add([]string{"modelLoader", "image"}, "%s", fault)
	}
}

func checkPublisher(f *faultsOf, p Publisher) {
	if fault := imageFault(p.Image); p.Image != "" && fault != "" {
		f.add([]string{"publisher", "image"}, "%s", fault)
	}
	if p.PushSecret != "" && !objectName.ok(p.PushSecret) {
		f.add([]string{"publisher", "pushSecret"}, "pushSecret %q is not %s", p.PushSecret, objectName.text)
	}
	if p.Image == "" && p.PushSecret != "" {
		f.add([]string{"publisher"}, "publisher has no image, so that nothing pushes; write image: DAVIT@sha256:…")
	}
}

// Publishes says whether trainings of the environment start runs, which need a publisher.
func (e *Environment) Publishes() bool { return e.Spec.Publisher.Image != "" }

// MountsImages says whether pods of the environment mount the model image; otherwise its loader copies it.
func (e *Environment) MountsImages() bool {
	c := e.Spec.Capabilities
	return c.AtLeast(35) || c.Has(ImageVolume)
}
