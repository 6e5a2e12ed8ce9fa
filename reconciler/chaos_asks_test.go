package reconciler_test

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// asks is what a commit asks of a release, as the model of davit reads it: by patterns, and not by davit's own readers.
type asks struct {
	serves
	faulty bool
	slip   bool   // and not for its version alone
	own    string // its own files, to tell whether a commit changed one
	inputs string // all that it is made of
}

// serves is what tells two revisions of a release apart.
type serves struct {
	version         string
	replicas, grace int
	tier            string // that the environment's component writes on Deployments
	settings        bool   // the runtime has a ConfigMap
	refused         bool   // the API server refuses its Deployment
}

// fate is what must come of a revision.
type fate string

const (
	well    fate = "Healthy"
	crashes fate = "CrashLoop"
	unbuilt fate = "ImageFailed"
	refused fate = "Refused"
)

func (s serves) fate() fate {
	switch {
	case s.version == "v4": // its file is not what its digest says
		return unbuilt
	case s.refused:
		return refused
	case s.version == "v3": // its simulated pods crash
		return crashes
	}
	return well
}

func (s serves) String() string {
	return fmt.Sprintf("%s replicas=%d grace=%d tier=%s settings=%t", s.version, s.replicas, s.grace, s.tier, s.settings)
}

// known says whether there is such a version; all are there from the beginning.
func known(version string) bool { return slices.Contains([]string{"v1", "v2", "v3", "v4"}, version) }

const (
	runtimeDir = "runtimes/iris-server/0.1.0/"
	slip       = "oops: here\n" // a field that no kind has
)

// wants reads what a tree asks of each release.
func wants(files map[string]string) map[string]*asks {
	all := map[string]*asks{}
	for name := range files {
		dir, file := path.Split(name)
		_, ok := strings.CutPrefix(dir, "releases/")
		env, yaml := strings.CutSuffix(file, ".yaml")
		if !ok || !yaml || env == "serving" || env == "kustomization" {
			continue
		}
		environment := "environments/" + env + "/"
		own := []string{dir + "serving.yaml", name, dir + "kustomization.yaml"}
		shared := []string{
			"davit.yaml", environment + "environment.yaml", environment + "kustomization.yaml",
			runtimeDir + "runtime.yaml", runtimeDir + "deployment.yaml", runtimeDir + "kustomization.yaml",
		}
		a := &asks{own: join(files, own), inputs: join(files, append(own, shared...))}
		a.version = found(files[name], `version: (v\d+)`)
		a.replicas, a.grace = number(files[dir+"serving.yaml"], `replicas: (\d+)`), number(files[runtimeDir+"deployment.yaml"], `terminationGracePeriodSeconds: (\d+)`)
		a.tier = found(files[environment+"kustomization.yaml"], `tier: (\w+)`)
		a.settings = strings.Contains(files[runtimeDir+"kustomization.yaml"], "settings.yaml")
		_, a.refused = files[dir+"kustomization.yaml"]
		a.slip = strings.Contains(a.inputs, slip) || files[dir+"serving.yaml"] == ""
		a.faulty = a.slip || !known(a.version)
		all[env+"/"+path.Base(dir)] = a
	}
	return all
}

// unreadable are the environments whose file has a slip: what is to be deleted there nobody can say.
func unreadable(files map[string]string) map[string]bool {
	all := map[string]bool{}
	for _, env := range environments {
		all[env] = strings.Contains(files["environments/"+env+"/environment.yaml"], slip)
	}
	return all
}

func join(files map[string]string, names []string) string {
	var all strings.Builder
	for _, name := range names {
		if text, ok := files[name]; ok {
			fmt.Fprintf(&all, "%s\n%s\n", name, text)
		}
	}
	return all.String()
}

func found(text, pattern string) string {
	if m := regexp.MustCompile(pattern).FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

func number(text, pattern string) int {
	n, _ := strconv.Atoi(found(text, pattern))
	return n
}
