package reconciler_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// A script has a step a line. What a step asks that is not there to be done is left out, so that any lines of a script are a
// script. Steps that commit:
//
//	promote production/iris v2      the release's version; v3 crashes, v4 can't be built, v9 does not exist
//	replicas iris 2                 of its Serving, for both environments
//	touch iris                      changes the Serving and nothing by it
//	refuse iris | allow iris        a component by which the API server refuses the Deployment
//	create production/c v1          a release; drop production/c takes it away
//	break production/iris           a slip of the pen in its file; so do "break runtime" and "break environment production"; mend
//	grace 11                        a shared file of the runtime
//	settings on | settings off      an object more in every release
//	tier production gold            the environment's component; none takes it away
//	readme                          nothing of concern
//	merge 1 STEP; STEP              a branch from a commit before, with a commit for each step, merged
//	revert 0                        git revert of a commit before
//	unsigned STEP                   without the signature that production wants
//
// Others:
//
//	reset 1 | restore | accept      the branch is forced back, or forth; the rewrite is accepted
//	pin production/iris 1 v2        to a commit before, at a version or its own; suspend, unsuspend, resume
//	edit production/iris 5          a person changes the replicas of its Deployment
//	delete production/iris service  or deployment
//	forget production/iris          a person deletes the ModelRelease
//	stranger production x           a person makes an object; stray production/iris x one with the labels of davit's own
//	stop | start | restart | kill
//	api down | api up | git down | git up
//	settle                          wait until davit has come to rest, and compare
//	signed                          at the beginning: production follows signed commits alone
func (p *play) do(step string) error {
	p.t.Helper()
	p.steps++
	verb, rest, _ := strings.Cut(strings.TrimSpace(step), " ")
	args := strings.Fields(rest)
	switch verb {
	case "", "#", "signed":
		return nil
	case "settle":
		return p.settle()
	case "merge":
		p.merge(rest)
	case "revert":
		p.revert(arg(args, 0))
	case "unsigned":
		if p.m.signed {
			p.git("config", "commit.gpgsign", "false")
			defer p.git("config", "commit.gpgsign", "true")
		}
		return p.do(rest)
	case "reset", "restore", "accept":
		return p.rewrite(verb, arg(args, 0))
	case "pin", "suspend", "unsuspend", "resume", "forget":
		return p.asked(verb, args)
	case "edit", "delete", "stranger", "stray":
		return p.touched(verb, args)
	case "stop":
		return p.stop()
	case "start":
		return p.start()
	case "restart":
		if p.davit == nil {
			return nil
		}
		if err := p.stop(); err != nil {
			return err
		}
		return p.start()
	case "kill":
		return p.kill()
	case "api":
		p.api.set(arg(args, 0) == "down")
	case "git":
		p.host.set(arg(args, 0) == "down")
	default:
		if !p.inFiles(verb, args) {
			return fmt.Errorf("no step %q", step)
		}
		p.commitSome(step)
	}
	p.took()
	return nil
}

func arg(args []string, i int) string {
	if i < len(args) {
		return args[i]
	}
	return ""
}

func count(text string) int { n, _ := strconv.Atoi(text); return n }

// commitSome commits what was changed, when anything was.
func (p *play) commitSome(message string) {
	p.git("add", "-A")
	if p.git("status", "--porcelain") != "" {
		p.git("commit", "-q", "-m", message)
	}
}

// inFiles does in the worktree what a committing step says; what can't be done changes nothing.
func (p *play) inFiles(verb string, args []string) bool {
	what := arg(args, 0)
	env, name, _ := strings.Cut(what, "/")
	dir := "releases/" + what + "/"
	switch verb {
	case "promote":
		p.change("releases/"+name+"/"+env+".yaml", `version: v\d+`, "version: "+arg(args, 1))
	case "replicas":
		p.change(dir+"serving.yaml", `replicas: \d+`, "replicas: "+arg(args, 1))
	case "touch":
		p.change(dir+"serving.yaml", `$`, "# touched\n")
	case "refuse":
		if p.exists(dir + "serving.yaml") {
			p.write(dir+"kustomization.yaml", refusing)
		}
	case "allow":
		_ = os.Remove(filepath.Join(p.dir, dir, "kustomization.yaml"))
	case "create":
		if !p.exists("releases/" + name + "/serving.yaml") {
			p.write("releases/"+name+"/serving.yaml", serving)
		}
		if file := "releases/" + name + "/" + env + ".yaml"; !p.exists(file) {
			p.write(file, "apiVersion: davit.dev/v1alpha1\nkind: Release\nspec:\n\n  version: "+arg(args, 1)+"\n\n")
		}
	case "drop":
		_ = os.Remove(filepath.Join(p.dir, "releases", name, env+".yaml"))
		if !p.exists("releases/"+name+"/staging.yaml") && !p.exists("releases/"+name+"/production.yaml") {
			p.remove("releases/" + name)
		}
	case "break":
		p.change(p.breakable(args), `^(?s:(.*))$`, "${1}"+slip)
	case "mend":
		p.change(p.breakable(args), `(?m)^oops: here\n`, "")
	case "grace":
		p.change(runtimeDir+"deployment.yaml", `terminationGracePeriodSeconds: \d+`, "terminationGracePeriodSeconds: "+what)
	case "settings":
		p.change(runtimeDir+"kustomization.yaml", `  - settings.yaml\n`, "")
		if what == "on" {
			p.write(runtimeDir+"settings.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n")
			p.change(runtimeDir+"kustomization.yaml", `  - service.yaml\n`, "  - service.yaml\n  - settings.yaml\n")
		}
	case "tier":
		component := "environments/" + what + "/kustomization.yaml"
		if tier := arg(args, 1); tier != "none" {
			p.write(component, fmt.Sprintf(tiered, tier))
		} else if p.exists(component) {
			p.remove(component)
		}
	case "readme":
		p.write("README.md", fmt.Sprintf("%d\n", p.steps))
	default:
		return false
	}
	return true
}

func (p *play) breakable(args []string) string {
	switch what := arg(args, 0); what {
	case "runtime":
		return runtimeDir + "runtime.yaml"
	case "environment":
		return "environments/" + arg(args, 1) + "/environment.yaml"
	default:
		env, name, _ := strings.Cut(what, "/")
		return "releases/" + name + "/" + env + ".yaml"
	}
}

func (p *play) exists(name string) bool {
	_, err := os.Stat(filepath.Join(p.dir, name))
	return err == nil
}

// change replaces what is like a pattern in a file, the first time and if it is there.
func (p *play) change(name, pattern, to string) {
	if p.exists(name) {
		text := p.text(name)
		expr := regexp.MustCompile(pattern)
		if at := expr.FindStringSubmatchIndex(text); at != nil {
			p.write(name, text[:at[0]]+string(expr.ExpandString(nil, to, text, at))+text[at[1]:])
		}
	}
}

const (
	serving = `apiVersion: davit.dev/v1alpha1
kind: Serving
spec:
  model: iris
  runtime: iris-server
  replicas: 1
`
	tiered = `apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
- target: {kind: Deployment}
  patch: '[{"op": "add", "path": "/metadata/annotations", "value": {"example.com/tier": "tier: %s"}}]'
`
	refusing = `apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
- target: {kind: Deployment}
  patch: '[{"op": "add", "path": "/spec/template/spec/restartPolicy", "value": "Never"}]'
`
)

// merge merges a branch from a commit before, as a forge merges a pull request; one with conflicts is not merged.
func (p *play) merge(rest string) {
	back, steps, _ := strings.Cut(rest, " ")
	if !p.has(back) {
		return
	}
	p.git("checkout", "-q", "-b", "side", "HEAD~"+strconv.Itoa(count(back)))
	for step := range strings.SplitSeq(steps, ";") {
		verb, rest, _ := strings.Cut(strings.TrimSpace(step), " ")
		p.inFiles(verb, strings.Fields(rest))
		p.commitSome(step)
	}
	p.git("checkout", "-q", "main")
	if p.try("merge", "-q", "--no-ff", "-m", "merge of "+steps, "side") != nil {
		p.git("merge", "--abort")
	}
	p.git("branch", "-q", "-D", "side")
}

func (p *play) revert(back string) {
	if !p.has(back) || p.m.commits[p.git("rev-parse", "HEAD~"+strconv.Itoa(count(back)))].parent == "" {
		return
	}
	args := []string{"revert", "--no-edit"}
	if len(strings.Fields(p.git("rev-list", "--parents", "-n", "1", "HEAD~"+strconv.Itoa(count(back))))) > 2 {
		args = append(args, "-m", "1")
	}
	if p.try(append(args, "HEAD~"+strconv.Itoa(count(back)))...) != nil {
		_ = p.try("revert", "--abort")
		p.git("reset", "-q", "--hard")
	}
}

// has says whether there is a commit so far back, by first parents.
func (p *play) has(back string) bool {
	return p.try("rev-parse", "-q", "--verify", "HEAD~"+strconv.Itoa(count(back))) == nil
}

// try is git where it may fail.
func (p *play) try(args ...string) error {
	cmd := exec.Command("git", args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	return cmd.Run()
}
