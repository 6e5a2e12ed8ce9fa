package registry

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The strategies of a rollout.
const (
	InPlace   = "inPlace"
	Surge     = "surge"
	Recreate  = "recreate"
	BlueGreen = "blueGreen"
	Canary    = "canary"
)

var strategies = []string{InPlace, Surge, Recreate, BlueGreen, Canary}

// Rollout says how a new revision replaces the old.
type Rollout struct {
	// Strategy is inPlace (the zero value's meaning: the new pods take the old pods' places), surge (new
	// pods first), recreate (no old pod runs beside a new one), blueGreen (a workload of its own for each
	// revision; the Service turns to it when it is ready) or canary (as blueGreen, and the route's traffic
	// comes over by steps). The last two need as many GPUs again while they last.
	Strategy string `yaml:"strategy"`
	// Steps are a canary's; 5, 25 and 50 percent for five minutes each when empty.
	Steps []CanaryStep `yaml:"steps"`
	// Keep is how long blueGreen and canary leave the revision before running, so that going back takes
	// seconds; 10 minutes when zero.
	Keep Duration `yaml:"keep"`
	// OnImmutable is what to do when a revision changes a field of an object that Kubernetes lets nobody
	// change, such as a selector or a StatefulSet's volume claims: "fail" (the zero value's meaning: the
	// revision fails and the object stays) or "recreate" (the object is deleted and made again, with the
	// downtime that brings).
	OnImmutable string `yaml:"onImmutable"`
	// StartupTimeout bounds the time from container start to ready; 10 minutes when zero.
	StartupTimeout Duration `yaml:"startupTimeout"`
	// Checks are what the serving metrics of the new revision's pods must be, by [ParseCheck]: at each step of a canary,
	// and for every strategy while it bakes. They judge and are not rendered: changing one rolls no pod.
	Checks []string `yaml:"checks"`
	// MinSamples is how many requests the checks must have seen; [DefaultMinSamples] when zero.
	MinSamples int `yaml:"minSamples"`
}

// CanaryStep sends a share of the traffic to the new revision for a time.
type CanaryStep struct {
	// Weight is the share in percent, 1 to 99, more with each step.
	Weight int `yaml:"weight"`
	// Pause is how long the new revision must stay ready with it.
	Pause Duration `yaml:"pause"`
}

// Progressive says whether each revision has a workload of its own.
func (r Rollout) Progressive() bool { return r.Strategy == BlueGreen || r.Strategy == Canary }

// CanarySteps are the steps, or those for a canary that names none; nil for other strategies.
func (r Rollout) CanarySteps() []CanaryStep {
	switch {
	case r.Strategy != Canary:
		return nil
	case len(r.Steps) > 0:
		return r.Steps
	}
	pause := Duration(5 * time.Minute)
	return []CanaryStep{{5, pause}, {25, pause}, {50, pause}}
}

// Autoscale lets the number of replicas follow a metric.
type Autoscale struct {
	Min int `yaml:"min"`
	Max int `yaml:"max"`
	// Metric is cpu or memory (Target is a percentage of the request), or a metric of the pods' own (Target is
	// its average over the pods), which needs the feature customMetrics.
	Metric string `yaml:"metric"`
	Target int    `yaml:"target"`
}

// Route brings requests from outside to the release, by an HTTPRoute of the Gateway API.
type Route struct {
	Hostname string `yaml:"hostname"`
	// Gateway is "name" in the release's namespace, or "namespace/name".
	Gateway string `yaml:"gateway"`
	// Path is a prefix that requests must have; "/" when empty.
	Path string `yaml:"path"`
}

func (c *check) rollout(r *Release) {
	s := &r.Serving
	one := func(field, what, value string, known ...string) bool {
		if value != "" && !slices.Contains(known, value) {
			c.fault([]string{"rollout", field}, "%s %q is not known%s", what, value, nearest(value, known))
			return false
		}
		return true
	}
	one("onImmutable", "onImmutable:", s.Rollout.OnImmutable, "fail", "recreate")
	if !one("strategy", "rollout strategy", s.Rollout.Strategy, strategies...) {
		return
	}
	c.steps(s)
	c.metricChecks(r)
	if !s.Rollout.Progressive() && s.Rollout.Keep != 0 {
		c.fault([]string{"rollout", "keep"}, "rollout.keep is for blueGreen and canary; remove it")
	}
	if r.Runtime == nil || r.Environment == nil {
		return
	}
	strategy, workload := []string{"rollout", "strategy"}, r.Runtime.Spec.Workload.Kind
	switch {
	case s.Rollout.Strategy == "" || s.Rollout.Strategy == InPlace:
	case workload == "InferenceService":
		c.fault(strategy, "rollout strategy %q can't be had with runtime %s: KServe rolls out by itself; remove it", s.Rollout.Strategy, r.Runtime)
	case workload != "Deployment":
		c.fault(strategy, "rollout strategy %q needs a Deployment; a %s replaces its pods in place", s.Rollout.Strategy, workload)
	case s.Rollout.Progressive() && r.Runtime.Spec.Service == "":
		c.fault(strategy, "rollout strategy %q needs a Service, and runtime %s names none in %s", s.Rollout.Strategy, r.Runtime, r.Runtime.Path)
	case s.Rollout.Strategy == Canary && s.Route == nil:
		c.fault(strategy, "rollout strategy canary shares traffic out by a route; write route: {hostname: …, gateway: …}, or blueGreen")
	}
}

func (c *check) steps(s *ServingSpec) {
	if len(s.Rollout.Steps) > 0 && s.Rollout.Strategy != Canary {
		c.fault([]string{"rollout", "steps"}, "rollout.steps are a canary's; write strategy: canary, or remove them")
	}
	before := 0
	for i, step := range s.Rollout.Steps {
		if step.Weight <= before || step.Weight > 99 {
			c.fault([]string{"rollout", "steps", strconv.Itoa(i)}, "weight: %d is not a percentage from 1 to 99 that is more than the step's before", step.Weight)
		}
		before = step.Weight
	}
}

// autoscale wants what the environment says its cluster has.
func (c *check) autoscale(r *Release) {
	a := r.Serving.Autoscale
	if a == nil {
		return
	}
	fault := func(field, format string, args ...any) { c.fault([]string{"autoscale", field}, format, args...) }
	if r.Serving.Replicas != nil {
		c.fault([]string{"autoscale"}, "autoscale and replicas are alternatives; remove one of them")
	}
	if a.Min < 1 {
		fault("min", "autoscale.min: %d is less than 1", a.Min)
	}
	if a.Max < a.Min {
		fault("max", "autoscale.max: %d is less than min, which is %d", a.Max, a.Min)
	}
	if a.Target < 1 {
		fault("target", "autoscale.target: %d is less than 1", a.Target)
	}
	switch a.Metric {
	case "":
		fault("metric", "autoscale.metric is missing; write cpu, memory, or a metric of the pods")
	case "cpu", "memory":
		c.feature("autoscale", r, Metrics, "autoscale by "+a.Metric)
		if _, ok := r.Serving.Resources[a.Metric]; !ok {
			fault("metric", "autoscale by %s is in percent of what a pod requests; write resources: {%s: …}", a.Metric, a.Metric)
		}
	default:
		if r.Runtime != nil && r.Runtime.Spec.Workload.Kind == inferenceService {
			fault("metric", "autoscale by %s can't be had with runtime %s: KServe scales by cpu or memory; write one of them", a.Metric, r.Runtime)
			return
		}
		c.feature("autoscale", r, CustomMetrics, "autoscale by a metric of the pods")
	}
}

// route wants a Gateway API and somebody to lead to.
func (c *check) route(r *Release) {
	to := r.Serving.Route
	if to == nil {
		return
	}
	c.feature("route", r, GatewayAPI, "a route")
	if len(to.Hostname) > 253 || !hostname.MatchString(to.Hostname) {
		c.fault([]string{"route", "hostname"}, "route.hostname %q is not a DNS name; write one such as iris.models.example.com", to.Hostname)
	}
	if !gateway.MatchString(to.Gateway) {
		c.fault([]string{"route", "gateway"}, "route.gateway %q is not a Gateway's name, or NAMESPACE/NAME", to.Gateway)
	}
	if p := to.Path; p != "" && !strings.HasPrefix(p, "/") {
		c.fault([]string{"route", "path"}, "route.path %q does not start with /", p)
	} else if p != "" && (path.Clean(p) != p && path.Clean(p)+"/" != p || strings.ContainsAny(p, "#?%")) {
		c.fault([]string{"route", "path"}, "route.path %q is not a path in its shortest form, without #, ? and %%; write one such as /v2", p)
	}
	if r.Runtime != nil && r.Runtime.Spec.Service == "" {
		c.fault([]string{"route"}, "a route needs a Service, and runtime %s names none in %s", r.Runtime, r.Runtime.Path)
	}
}

// feature wants the environment to declare what the release uses: nothing is left out in silence.
func (c *check) feature(field string, r *Release, feature, what string) {
	if r.Environment != nil && !r.Environment.Spec.Capabilities.Has(feature) {
		c.fault([]string{field}, "%s needs %s, which the environment does not declare; write it under capabilities.features in %s", what, feature, r.Environment.Path)
	}
}
