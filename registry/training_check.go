package registry

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	// trainingName begins a run's name, which names a Service or a JobSet: those begin with a letter (RFC 1035).
	trainingName = nameRule{regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`), 40, "a DNS label of at most 40 characters that begins with a letter"}
	objectName   = nameRule{regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`), 253, "a Kubernetes name (lower-case letters, digits, - and '.', at most 253)"}
	labelKey     = nameRule{regexp.MustCompile(`^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?$`), 253, "a node label, such as topology.kubernetes.io/zone"}
	argumentName = nameRule{regexp.MustCompile(`^[^\s=-][^\s=]*$`), 255, "an argument's name without its dashes"}
)

// reservedEnv begins the variables that davit sets.
const reservedEnv = "DAVIT_"

// spec checks the values that need no other file.
func (c *trainingCheck) spec(t *Training) {
	s := &t.Spec
	if fault := imageFault(s.Image); fault != "" {
		c.add([]string{"image"}, "%s", fault)
	}
	for _, field := range []struct {
		name  string
		value int
	}{{"gpus", s.GPUs}, {"nodes", s.Nodes}, {"retries", s.Retries}, {"attempt", s.Attempt}, {"keep", s.Keep}} {
		if field.value < 0 {
			c.add([]string{field.name}, "%s: %d is less than 0", field.name, field.value)
		}
	}
	if find(c.doc.spec, "nodes") >= 0 && s.Nodes == 0 {
		c.add([]string{"nodes"}, "nodes: 0 trains nothing; write 1 or more, or leave it out")
	}
	// Kubernetes' names of the last node's pod in a JobSet: <run>-node-0-<number>-<5 letters>.
	if longest := trainingName.longest - len(strconv.Itoa(t.Nodes()-1)); t.Indexed() && len(t.Name) > longest {
		c.add([]string{"nodes"}, "training %q is too long a name for %d nodes, whose pods' names add to it; shorten it to %d characters", t.Name, t.Nodes(), longest)
	}
	for i, code := range s.FatalExitCodes {
		if code < 1 || code > 255 {
			c.add([]string{"fatalExitCodes", strconv.Itoa(i)}, "fatalExitCodes: %d is not between 1 and 255", code)
		}
	}
	c.versionPattern(t)
	fates := []string{"keep", "cancel"}
	if f := s.OnRemove; f != "" && !slices.Contains(fates, f) {
		c.add([]string{"onRemove"}, "onRemove: %q is not known%s", f, nearest(f, fates))
	}
	merges := []string{"review", "auto"}
	if m := s.Merge; m != "" && !slices.Contains(merges, m) {
		c.add([]string{"merge"}, "merge: %q is not known%s", m, nearest(m, merges))
	}
	c.durations(s)
	c.container(s)
	c.datasets(s)
	c.schedule(s)
	c.scheduling(s)
	if s.Checkpoints != nil {
		c.checkpoints(s.Checkpoints)
	}
	if s.Sweep != nil {
		c.sweep(s.Sweep)
	}
}

// durations are whole seconds to Kubernetes.
func (c *trainingCheck) durations(s *TrainingSpec) {
	for name, value := range map[string]Duration{"deadline": s.Deadline, "ttl": s.TTL} {
		if d := time.Duration(value); d != 0 && d < time.Second {
			c.add([]string{name}, "%s: %s is less than a second", name, d)
		}
	}
}

func (c *trainingCheck) container(s *TrainingSpec) {
	for _, name := range sortedKeys(s.Hyperparameters) {
		if !argumentName.ok(name) {
			c.add([]string{"hyperparameters", name}, "hyperparameter %q is not %s", name, argumentName.text)
		}
	}
	known := []string{"cpu", "memory", "ephemeral-storage"}
	for _, name := range sortedKeys(s.Resources) {
		if !slices.Contains(known, name) {
			c.add([]string{"resources", name}, "resource %q is not known here%s", name, nearest(name, known))
		}
	}
	for _, name := range sortedKeys(s.Env) {
		if !envName.ok(name) {
			c.add([]string{"env", name}, "env %q is not %s", name, envName.text)
		} else if strings.HasPrefix(name, reservedEnv) {
			c.add([]string{"env", name}, "env %q: variables that begin with %s are davit's own; choose another name", name, reservedEnv)
		}
	}
}

func (c *trainingCheck) datasets(s *TrainingSpec) {
	seen := map[string]string{}
	for i, d := range s.Datasets {
		field := []string{"datasets", strconv.Itoa(i)}
		variable := d.Variable()
		switch {
		case d.Name == "":
			c.add(field, "a dataset's name is missing")
		case seen[variable] == d.Name:
			c.add(field, "dataset %q is listed twice", d.Name)
		case seen[variable] != "":
			c.add(field, "datasets %q and %q are both told by %s; rename one of them", seen[variable], d.Name, variable)
		case !envName.ok(variable):
			c.add(field, "dataset %q can't be told by a variable; use letters, digits, '-', '_' and '.'", d.Name)
		}
		seen[variable] = d.Name
		if d.URI == "" {
			c.add(field, "uri of dataset %q is missing", d.Name)
		} else if err := checkSource(d.URI); err != nil {
			c.add(field, "%v", err)
		}
		if d.SHA256 != "" && !digestHex.MatchString(d.SHA256) {
			c.add(field, "sha256 of dataset %q is not 64 lower-case hex digits", d.Name)
		}
	}
}

// Variable is the environment variable that tells a trainer the dataset's URI.
func (d Dataset) Variable() string {
	return reservedEnv + "DATASET_" + strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToUpper(d.Name))
}

func (c *trainingCheck) scheduling(s *TrainingSpec) {
	if s.Queue != "" && !dnsLabel.ok(s.Queue) {
		c.add([]string{"queue"}, "queue %q is not %s", s.Queue, dnsLabel.text)
	}
	if s.Priority != "" && (!objectName.ok(s.Priority) || len(s.Priority) > 63) {
		c.add([]string{"priority"}, "priority %q is not the name of a priority class", s.Priority)
	}
	t := s.Topology
	if (t != Topology{}) && s.Queue == "" {
		c.add([]string{"topology"}, "topology needs a queue: Kueue places the pods together")
	}
	if t.Required != "" && t.Preferred != "" {
		c.add([]string{"topology"}, "topology is required or preferred; remove one of them")
	}
	for name, value := range map[string]string{"required": t.Required, "preferred": t.Preferred} {
		if value != "" && !labelKey.ok(value) {
			c.add([]string{"topology", name}, "topology.%s: %q is not %s", name, value, labelKey.text)
		}
	}
}

func (c *trainingCheck) checkpoints(p *Checkpoints) {
	field := func(name string) []string { return []string{"checkpoints", name} }
	switch {
	case p.Claim != "" && p.URI != "":
		c.add(field("uri"), "checkpoints are in a claim or at a uri; remove one of them")
	case p.Claim == "" && p.URI == "":
		c.add([]string{"checkpoints"}, "checkpoints need a claim, or the uri of a folder in an object store")
	case p.URI != "" && p.Path != "":
		c.add(field("path"), "checkpoints.path is where a claim is mounted; a uri has none")
	}
	if p.Claim != "" && !objectName.ok(p.Claim) {
		c.add(field("claim"), "checkpoints.claim %q is not %s", p.Claim, objectName.text)
	}
	if p.URI != "" && !strings.Contains(p.URI, "://") {
		c.add(field("uri"), "checkpoints.uri %q is not a URI; write one such as s3://bucket/folder", p.URI)
	} else if err := checkSource(p.URI); err != nil {
		c.add(field("uri"), "%v", err)
	}
	if p.Path == "" {
		return
	}
	if !path.IsAbs(p.Path) || path.Clean(p.Path) != p.Path || p.Path == "/" || strings.ContainsAny(p.Path, ":") {
		c.add(field("path"), "checkpoints.path %q is not an absolute path", p.Path)
	}
	for _, taken := range []string{"/output", "/dev/shm", "/mnt/model"} {
		if p.Path == taken || strings.HasPrefix(p.Path, taken+"/") || strings.HasPrefix(taken, p.Path+"/") {
			c.add(field("path"), "checkpoints.path %q is where %s is; mount it elsewhere", p.Path, taken)
		}
	}
}
