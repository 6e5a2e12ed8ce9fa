package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/examples/stage"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render"
)

// rendered is the run of one of the example's trainings, as `davit render --offline` prints it.
func rendered(t *testing.T, key string) (run string, objects []byte) {
	t.Helper()
	fsys := os.DirFS("../registry")
	models, err := registry.Load(fsys)
	if err != nil || len(models.Faults) > 0 {
		t.Fatal(err, models.Faults)
	}
	training := models.Trainings[key]
	for _, f := range training.BaseVersion.Spec.Files {
		data, err := os.ReadFile("../registry/" + f.Source)
		if sum := sha256.Sum256(data); err != nil || hex.EncodeToString(sum[:]) != f.SHA256 {
			t.Errorf("%s is not what %s says (%v)", f.Source, training.BaseVersion, err)
		}
	}
	hash, err := training.RunHash(fsys)
	if err != nil {
		t.Fatal(err)
	}
	out, err := render.Training(fsys, training, hash, image.Placeholder(training.BaseRepository()))
	if err != nil {
		t.Fatal(err)
	}
	return training.RunName(hash), out.YAML
}

// TestReadme holds what the README shows against the registry's file and what is rendered of it.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	spec, err := os.ReadFile("../registry/models/chat/training/tune.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, objects := rendered(t, "chat/tune")
	some, err := part(string(objects))
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]string{
		"the spec": "```yaml\n" + string(spec) + "```\n", "what it becomes": "```yaml\n" + some + "```\n",
		"how long that is": fmt.Sprintf("a JobSet of %d lines", bytes.Count(objects, []byte("\n"))),
	} {
		if !strings.Contains(string(readme), want) {
			t.Errorf("the README does not have %s as it is:\n%s", what, want)
		}
	}
}

// cluster starts one and returns its kubectl.
func cluster(t *testing.T, cfg devcluster.Config) func(in []byte, args ...string) string {
	t.Helper()
	cfg.Log = os.Stderr
	c, err := devcluster.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return func(in []byte, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), c.Bin("kubectl"), append([]string{"--kubeconfig=" + c.Kubeconfig}, args...)...)
		cmd.Stdin = bytes.NewReader(in)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
}

// pod is what the nodes' numbers and names rest on.
type pod struct {
	Metadata struct {
		Name        string
		Annotations map[string]string
	}
	Spec struct {
		Hostname, Subdomain, NodeName string
		InitContainers                []struct {
			Name string
			Env  []struct {
				Name, Value string
				ValueFrom   struct{ FieldRef struct{ FieldPath string } }
			}
		}
	}
}

// TestSimulatedNodes: JobSet's webhooks take the rendered run, and its controller makes of it two pods, each on a node
// of its own, that know their number and the first one's name. They run nothing, and so complete.
func TestSimulatedNodes(t *testing.T) {
	kubectl := cluster(t, devcluster.Config{Nodes: 2, GPUs: 8, Controllers: []string{"jobset"}})
	claim, err := os.ReadFile("../claim.yaml")
	if err != nil {
		t.Fatal(err)
	}
	run, objects := rendered(t, "chat/tune")
	kubectl(nil, "label", "nodes", "--all", gpu)
	kubectl(claim, "apply", "-f", "-")
	kubectl(objects, "apply", "--server-side", "-f", "-")
	kubectl(nil, "wait", "jobset/"+run, "-n", "training", "--for=condition=Completed", "--timeout=300s")

	var pods struct{ Items []pod }
	if err := json.Unmarshal([]byte(kubectl(nil, "get", "pods", "-n", "training", "--sort-by=.metadata.name", "-o", "json")), &pods); err != nil {
		t.Fatal(err)
	}
	if len(pods.Items) != 2 || pods.Items[0].Spec.NodeName == pods.Items[1].Spec.NodeName {
		t.Fatalf("pods: %+v; want two, each on a node of its own", pods.Items)
	}
	for i, p := range pods.Items {
		rank := string(rune('0' + i))
		if host := run + "-node-0-" + rank; !strings.HasPrefix(p.Metadata.Name, host+"-") || p.Spec.Hostname != host || p.Spec.Subdomain != run {
			t.Errorf("pod %s has the name %s.%s, want %s.%s", p.Metadata.Name, p.Spec.Hostname, p.Spec.Subdomain, host, run)
		}
		env := map[string]string{}
		for _, v := range p.Spec.InitContainers[0].Env {
			env[v.Name] = v.Value + v.ValueFrom.FieldRef.FieldPath
		}
		index := strings.TrimSuffix(strings.TrimPrefix(env["NODE_RANK"], "metadata.annotations['"), "']")
		if p.Metadata.Annotations[index] != rank {
			t.Errorf("pod %s has its number from %s, which is %q, want %s", p.Metadata.Name, env["NODE_RANK"], p.Metadata.Annotations[index], rank)
		}
		if want := run + "-node-0-0." + run; env["MASTER_ADDR"] != want || env["NNODES"] != "2" || env["DAVIT_RUN"] != run {
			t.Errorf("pod %s is told %v, want the master %s", p.Metadata.Name, env, want)
		}
	}

	kubectl(nil, "create", "namespace", "research")
	_, objects = rendered(t, "chat/tune-queued")
	kubectl(objects, "apply", "--server-side", "--dry-run=server", "-f", "-")
}

// TestRealNodeTellsTheStory is the demo where its pods run: they meet by DNS, one dies, and the run ends from its
// checkpoint.
func TestRealNodeTellsTheStory(t *testing.T) {
	d := realDemo(t)
	for _, step := range story(d) {
		if err := step.Do(t.Context()); err != nil {
			t.Fatalf("%s: %v", step.Title, err)
		}
	}
}

// realDemo is a story on a real node, which is taken down after the test.
func realDemo(t *testing.T) *demo {
	t.Helper()
	if os.Getenv("DAVIT_E2E") == "" || os.Geteuid() != 0 {
		t.Skip("a real node needs root on Linux and minutes for its first build; set DAVIT_E2E=1")
	}
	t.Chdir("../../..")
	s := &stage.Stage{Real: true, Dir: t.TempDir()}
	t.Cleanup(func() {
		s.StopSync()
		if s.Cluster != nil {
			if err := s.Cluster.Stop(); err != nil {
				t.Error(err)
			}
		}
	})
	return &demo{Stage: s}
}

// TestStoryFails: a step that is not as told is an error, and not a matter of reading the output.
func TestStoryFails(t *testing.T) {
	over := make(chan struct{})
	close(over)
	if _, err := (&said{lines: []line{{text: "node 0: step 10 loss 1"}}, ended: over}).find(t.Context(), "node 1: joined"); err == nil {
		t.Error("nobody joined, and nothing was missed")
	}
	if _, err := part("kind: Job\n"); err == nil {
		t.Error("a Job passes for a JobSet")
	}
}
