package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// shop is a registry that many teams work in, with the real git.
type shop struct {
	t   *testing.T
	dir string
}

func newShop(t *testing.T) *shop {
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	s := &shop{t, filepath.Join(t.TempDir(), "models")}
	if err := os.CopyFS(s.dir, os.DirFS("../../examples/iris/registry")); err != nil {
		t.Fatal(err)
	}
	s.git("init", "-q", "-b", "main")
	return s
}

// try runs one of git's commands, which may fail.
func (s *shop) try(args ...string) (string, error) {
	cmd := exec.CommandContext(s.t.Context(), "git", append([]string{"-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "gc.auto=0"}, args...)...)
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *shop) git(args ...string) {
	s.t.Helper()
	if out, err := s.try(args...); err != nil {
		s.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (s *shop) davit(args ...string) {
	s.t.Helper()
	var out bytes.Buffer
	if code := run(append([]string{"-C", s.dir}, args...), &out, &out); code != 0 {
		s.t.Fatalf("davit %s: exit code %d\n%s", strings.Join(args, " "), code, out.String())
	}
}

func (s *shop) write(name, text string) {
	s.t.Helper()
	full := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) edit(name, from, to string) {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil || !strings.Contains(string(data), from) {
		s.t.Fatalf("%s has no %q: %v", name, from, err)
	}
	s.write(name, strings.Replace(string(data), from, to, 1))
}

// branch has work done on a branch off base.
func (s *shop) branch(name string, work func()) {
	s.t.Helper()
	s.git("switch", "-q", "-c", name, "base")
	work()
	s.git("add", "-A")
	s.git("commit", "-q", "-m", name)
}

// merge merges branches one after the other and counts the conflicts.
func (s *shop) merge(branches []string) (conflicts int) {
	s.t.Helper()
	s.git("switch", "-q", "-C", "main", "base")
	for _, b := range branches {
		if out, err := s.try("merge", "-q", "--no-edit", b); err != nil {
			if !strings.Contains(out, "CONFLICT") {
				s.t.Fatalf("merging %s: %v\n%s", b, err, out)
			}
			s.t.Logf("%s: %s", b, out)
			conflicts++
			s.git("merge", "--abort")
		}
	}
	return conflicts
}

const teamFile = "apiVersion: davit.dev/v1alpha1\nkind: Team\nspec:\n  owners: [%s@example.com]\n"

// TestFortyTeams: forty teams add versions, promote, add models, evidence, approvals and owners, each on a branch off the
// same commit, and people at the root do two things to one release at once. The branches merge one after the other without
// a conflict, and what comes out is valid.
func TestFortyTeams(t *testing.T) {
	s := newShop(t)
	weights := "../../examples/iris/registry/models/iris/files/v1/model.safetensors"
	var teams, branches []string
	for i := range 40 {
		team := fmt.Sprintf("team-%02d", i)
		teams = append(teams, team)
		s.write("teams/"+team+"/team.yaml", fmt.Sprintf(teamFile, team))
		s.davit("new", team+"-model", weights, "--team", team, "--env", "staging,production")
	}
	s.davit("new", "rose", weights, "--env", "staging,production")
	s.git("add", "-A")
	s.git("commit", "-q", "-m", "forty teams")
	s.git("branch", "base")
	for _, team := range teams {
		branches = append(branches, team)
		s.branch(team, func() {
			model, dir := team+"-model", "teams/"+team
			s.davit("add", model, "v2", weights)
			s.edit(dir+"/releases/"+model+"/production.yaml", "version: v1", "version: v2")
			s.davit("new", team+"-other", weights, "--team", team)
			s.write(dir+"/models/"+model+"/evidence/v2/model-card.md", "# "+team+"\n")
			s.write("approvals/production/"+model+"/v2/risk.sig", team+"\n")
			s.edit(dir+"/team.yaml", "owners: [", "owners: [grace@example.com, ")
		})
	}
	for name, work := range map[string]func(){
		"iris-staging":    func() { s.edit("releases/iris/staging.yaml", "version: v1", "version: v2") },
		"iris-production": func() { s.edit("releases/iris/production.yaml", "version: v1", "version: v2") },
		"rose-promoted": func() {
			s.davit("add", "rose", "v2", weights)
			s.edit("releases/rose/production.yaml", "version: v1", "version: v2")
		},
		"rose-scaled-above": func() { s.edit("releases/rose/production.yaml", "spec:\n", "spec:\n  replicas: 2\n") },
		"rose-scaled-below": func() { s.edit("releases/rose/production.yaml", "v1\n\n", "v1\n\n  resources: {cpu: 2}\n") },
	} {
		branches = append(branches, name)
		s.branch(name, work)
	}
	if n := s.merge(branches); n > 0 {
		t.Errorf("%d of %d merges conflict", n, len(branches))
	}
	s.davit("validate")
	s.davit("find", "--model", "team-39-model@v2", "--env", "production")
}

// TestCodeownersOfNewTeams measures what ten teams that come at once do to CODEOWNERS: without the attribute that davit
// codeowners --write advises they conflict, and with it they don't.
func TestCodeownersOfNewTeams(t *testing.T) {
	for _, union := range []bool{false, true} {
		s := newShop(t)
		s.davit("codeowners", "--write")
		if union {
			s.write(".gitattributes", "/CODEOWNERS merge=union\n")
		}
		s.git("add", "-A")
		s.git("commit", "-q", "-m", "owners")
		s.git("branch", "base")
		var branches []string
		for i := range 10 {
			team := fmt.Sprintf("team-%02d", (i*7)%10)
			branches = append(branches, team)
			s.branch(team, func() {
				s.write("teams/"+team+"/team.yaml", fmt.Sprintf(teamFile, team))
				s.davit("codeowners", "--write")
			})
		}
		conflicts := s.merge(branches)
		t.Logf("merge=union %v: %d of %d merges conflict", union, conflicts, len(branches))
		if union != (conflicts == 0) {
			t.Errorf("merge=union %v: %d conflicts", union, conflicts)
		}
		if union {
			s.davit("codeowners", "--check")
		}
	}
}
