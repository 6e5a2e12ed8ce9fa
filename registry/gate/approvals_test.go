package gate_test

import (
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/hiddeco/sshsig"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
)

// roles writes the keys of roles, as "risk: ada bob".
func roles(t testing.TB, lines ...string) string {
	var out []string
	for _, l := range lines {
		role, names, _ := strings.Cut(l, ": ")
		var keys []string
		for name := range strings.FieldsSeq(names) {
			keys = append(keys, line(t, name))
		}
		out = append(out, fmt.Sprintf("%s: [%s]", role, strings.Join(keys, ", ")))
	}
	return strings.Join(out, ", ")
}

func want(t *testing.T, f gate.Finding, state gate.State, message string) {
	t.Helper()
	if ok, err := regexp.MatchString(message, f.Message); f.State != state || err != nil || !ok {
		t.Errorf("%s is %s: %s\nwant %s: %s %v", f.Gate, f.State, f.Message, state, message, err)
	}
}

func TestApprovalCounts(t *testing.T) {
	w := world(t, roles(t, "risk: ada bob"), "risk: 1")
	want(t, w.findings(t)["risk"], gate.Failed, `^iris@v2 needs 1 approval in role risk and has none; davit approve production/iris@v2 --as risk$`)
	approved := func(want bool) {
		t.Helper()
		if got, err := gate.Approved(fstest.MapFS(w), w.release(t), "risk", person(t, "ada").PublicKey()); got != want || err != nil {
			t.Errorf("approved %v, want %v, %v", got, want, err)
		}
	}
	approved(false)
	file := w.approve(t, "ada", "risk")
	approved(true)
	if name := "approvals/production/iris/v2/risk." + gate.Fingerprint(person(t, "ada").PublicKey()) + ".yaml"; file != name {
		t.Errorf("the approval is %s, want %s", file, name)
	}
	if faults, err := gate.CheckApproval(fstest.MapFS(w), file); err != nil || len(faults) > 0 {
		t.Error(faults, err)
	}
	want(t, w.findings(t)["risk"], gate.Passed, `^approved by ada \([0-9a-f]{12}, 2026-03-31\)$`)
	w.replace(t, "releases/iris/serving.yaml", "a: 1", "a: 3")
	approved(false)
}

func TestApprovalsOfTwo(t *testing.T) {
	w := world(t, roles(t, "risk: ada bob ada"), "risk: 2")
	w.approve(t, "ada", "risk")
	want(t, w.findings(t)["risk"], gate.Failed, `needs 2 approvals in role risk and has ada \(`)
	w.approve(t, "bob", "risk")
	want(t, w.findings(t)["risk"], gate.Passed, `(?:ada.*bob|bob.*ada)`)
}

// TestNobodyCountsTwice has one key in two roles: it counts where it is needed.
func TestNobodyCountsTwice(t *testing.T) {
	w := world(t, roles(t, "owner: ada bob", "risk: ada"), "owner: 1, risk: 1")
	w.approve(t, "ada", "owner")
	w.approve(t, "ada", "risk")
	found := w.findings(t)
	want(t, found["owner"], gate.Passed, "ada")
	want(t, found["risk"], gate.Failed, `has none; .*; not counted: that of ada \([0-9a-f]{12}\) counts in role owner already$`)
	w.approve(t, "bob", "owner")
	found = w.findings(t)
	want(t, found["owner"], gate.Passed, "^approved by bob [^,]*, 2026-03-31.$")
	want(t, found["risk"], gate.Passed, "^approved by ada ")
}

// TestRolesFindTheirKeys gives three roles three people of whom only one way of sharing them out is enough.
func TestRolesFindTheirKeys(t *testing.T) {
	w := world(t, roles(t, "a: ada bob", "b: bob cid", "c: ada"), "a: 1, b: 1, c: 1")
	for _, v := range []string{"ada a", "bob a", "bob b", "cid b", "ada c"} {
		name, role, _ := strings.Cut(v, " ")
		w.approve(t, name, role)
	}
	for _, f := range w.findings(t) {
		want(t, f, gate.Passed, "approved by")
	}
}

func TestNoRole(t *testing.T) {
	w := world(t, "", "risk: 1")
	want(t, w.findings(t)["risk"], gate.Failed, `no key is in that role; add keys under roles.risk in environments/production/environment.yaml$`)
}

// TestFloorNarrowsRoles lets nobody in by a file that the floor does not name.
func TestFloorNarrowsRoles(t *testing.T) {
	w := world(t, roles(t, "risk: ada mallory"), "risk: 1")
	w.approve(t, "mallory", "risk")
	floor := &registry.Policy{Roles: map[string][]string{"risk": {line(t, "ada")}}}
	list, err := gate.Check(fstest.MapFS(w), w.release(t), gate.Facts{Floor: floor})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	want(t, list[0], gate.Failed, `has none; .*not counted: risk.[0-9a-f]{12}.yaml is by a key that is not under roles.risk$`)
}

// TestTampering changes one thing of an approval after the other.
func TestTampering(t *testing.T) {
	field := func(name, value string) func(*testing.T, tree, string) {
		return func(t *testing.T, w tree, file string) {
			text := regexp.MustCompile(`(?m)^  `+name+`: .*$`).ReplaceAllString(w.text(file), "  "+name+": "+value)
			if text == w.text(file) {
				t.Fatalf("nothing of %s changed", name)
			}
			w.write(file, text)
		}
	}
	moved := func(to string) func(*testing.T, tree, string) {
		return func(t *testing.T, w tree, file string) {
			w[to] = w[file]
			delete(w, file)
		}
	}
	const dir = "approvals/production/iris/v2/"
	other := strings.Repeat("0", 64)
	for name, c := range map[string]struct {
		edit func(*testing.T, tree, string)
		why  string
	}{
		"by":            {field("by", "eve"), "its signature is not of what it says"},
		"at":            {field("at", "2026-03-31T12:00:01Z"), "its signature is not of what it says"},
		"part of at":    {field("at", "2026-03-31T12:00:00.5Z"), "its signature is not of what it says"},
		"digest":        {field("digest", `"`+other+`"`), "was given for another content: approve again"},
		"role":          {field("role", "owner"), `role is "owner" and the file's name says "risk"`},
		"no digest":     {field("digest", "short"), "digest is not 64 hex digits"},
		"a bell":        {field("by", `"\a"`), "by is not a name"},
		"unknown field": {field("by", "ada\n  also: bob"), `unknown field "also"`},
		"an anchor":     {field("by", "&a ada"), "anchors and aliases are not read"},
		"no signature":  {field("signature", "none\n  metadata: x"), "unknown field|not YAML"},
		"damaged":       {field("signature", "|\n    nothing"), "not YAML|its signature is damaged"},
		"huge":          {func(_ *testing.T, w tree, f string) { w.write(f, w.text(f)+strings.Repeat("#", 20000)) }, "an approval has at most"},
		"two":           {func(_ *testing.T, w tree, f string) { w.write(f, w.text(f)+"---\nkind: x\n") }, "more than one document"},
		"empty":         {func(_ *testing.T, w tree, f string) { w.write(f, "") }, "file is empty"},
		"other content": {func(t *testing.T, w tree, _ string) { w.replace(t, "releases/iris/serving.yaml", "a: 1", "a: 3") }, "was given for another content: approve again"},
		"a digest that fits": {func(t *testing.T, w tree, f string) {
			w.replace(t, "releases/iris/serving.yaml", "a: 1", "a: 3")
			field("digest", `"`+w.digest(t)+`"`)(t, w, f)
		}, "its signature is not of what it says"},
		"new evidence": {func(_ *testing.T, w tree, _ string) { w.write("models/iris/evidence/v2/x.md", "x") }, "was given for another content"},
		"role revoked": {func(t *testing.T, w tree, _ string) {
			w.replace(t, "environments/production/environment.yaml", line(t, "ada"), line(t, "cid"))
		}, "is by a key that is not under roles.risk"},
		"by another's name": {moved(dir + "risk." + gate.Fingerprint(person(t, "bob").PublicKey()) + ".yaml"), "it is signed by another key than its name says"},
		"other namespace": {func(t *testing.T, w tree, f string) {
			resign(t, w, f, "git")
		}, "was made for something else"},
		"gone": {func(_ *testing.T, w tree, f string) { delete(w, f) }, "has none; davit approve production/iris@v2 --as risk$"},
	} {
		t.Run(name, func(t *testing.T) {
			w := world(t, roles(t, "risk: ada bob"), "risk: 1")
			file := w.approve(t, "ada", "risk")
			want(t, w.findings(t)["risk"], gate.Passed, "ada")
			c.edit(t, w, file)
			want(t, w.findings(t)["risk"], gate.Failed, c.why)
			w.approve(t, "bob", "risk") // however bad that one is
			want(t, w.findings(t)["risk"], gate.Passed, "bob")
		})
	}
}

// resign signs what an approval says for another purpose, with the right key.
func resign(t *testing.T, w tree, file, namespace string) {
	at := strings.Index(w.text(file), "  signature:")
	text := fmt.Sprintf("davit approval 1\nrelease %q\nversion %q\nrole %q\nby %q\nat %s\ndigest %q\n",
		"production/iris", "v2", "risk", "ada", "2026-03-31T12:00:00Z", w.digest(t))
	sign := func(namespace string) string {
		s, err := sshsig.Sign(strings.NewReader(text), person(t, "ada"), sshsig.HashSHA512, namespace)
		if err != nil {
			t.Fatal(err)
		}
		return "  signature: |\n    " + strings.ReplaceAll(strings.TrimSpace(string(sshsig.Armor(s))), "\n", "\n    ") + "\n"
	}
	w.write(file, w.text(file)[:at]+sign("davit-approval"))
	want(t, w.findings(t)["risk"], gate.Passed, "ada") // the text is the one that is signed
	w.write(file, w.text(file)[:at]+sign(namespace))
}

// TestApprovalElsewhere takes an approval to another release, and to another version with the same content.
func TestApprovalElsewhere(t *testing.T) {
	w := world(t, roles(t, "risk: ada"), "risk: 1")
	file := w.approve(t, "ada", "risk")
	w.write("models/iris/versions/v3.yaml", w.text("models/iris/versions/v2.yaml"))
	w.replace(t, "releases/iris/production.yaml", "v2", "v3")
	w[strings.ReplaceAll(file, "/v2/", "/v3/")] = w[file]
	want(t, w.findings(t)["risk"], gate.Failed, "was given for another content")
}

// TestCrowd puts a thousand files beside one that counts.
func TestCrowd(t *testing.T) {
	w := world(t, roles(t, "risk: ada"), "risk: 1")
	for i := range 1000 {
		w.write(fmt.Sprintf("approvals/production/iris/v2/risk.%012x.yaml", i), "{")
	}
	f := w.findings(t)["risk"]
	want(t, f, gate.Failed, `risk.000000000004.yaml is by a key that is not under roles.risk, 995 more$`)
	w.approve(t, "ada", "risk")
	want(t, w.findings(t)["risk"], gate.Passed, "ada")
}

// TestInTheWay has files where folders are looked for, in memory and on disk.
func TestInTheWay(t *testing.T) {
	for _, names := range [][]string{{"approvals/production/iris/v2", "models/iris/evidence/v2"}, {"approvals/production", "models/iris/evidence"}, {"approvals", "models/iris/evidence"}} {
		w := world(t, roles(t, "risk: ada"), "risk: 1}, evidence: [bias], metrics: {auc: {min: 0}")
		delete(w, "models/iris/evidence/v2/bias.md")
		for _, name := range names {
			w.write(name, "x")
		}
		dir := t.TempDir()
		if err := os.CopyFS(dir, fstest.MapFS(w)); err != nil {
			t.Fatal(err)
		}
		for _, fsys := range []fs.FS{fstest.MapFS(w), os.DirFS(dir)} {
			list, err := gate.Check(fsys, w.release(t), gate.Facts{})
			if err != nil || len(list) != 3 {
				t.Fatalf("%v: %v, %v", names, list, err)
			}
			want(t, list[0], gate.Passed, "auc")
			want(t, list[1], gate.Failed, "needs a file")
			want(t, list[2], gate.Failed, "has none")
		}
	}
}

func TestApproveRefuses(t *testing.T) {
	w := world(t, "", "")
	for _, a := range []gate.Approval{{Role: "risk", By: "a\nb", At: noon}, {Role: "../x", By: "ada", At: noon}, {By: "ada", At: noon}, {Role: "risk", By: strings.Repeat("a", 300), At: noon}} {
		if name, text, err := gate.Approve(fstest.MapFS(w), w.release(t), a, person(t, "ada")); err == nil {
			t.Errorf("%+v made %s:\n%s", a, name, text)
		}
	}
}

func FuzzApproval(f *testing.F) {
	w := world(f, roles(f, "risk: ada"), "risk: 1")
	file := w.approve(f, "ada", "risk")
	good := w.text(file)
	f.Add([]byte(good))
	f.Add([]byte("kind: Approval\n"))
	f.Add([]byte(strings.Replace(good, "role:", "&a role:", 1)))
	release := w.release(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		in := w.clone()
		in.write(file, string(text))
		faults, err := gate.CheckApproval(fstest.MapFS(in), file)
		if err != nil {
			t.Fatal(err)
		}
		list, err := gate.Check(fstest.MapFS(in), release, gate.Facts{})
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		if passed := list[0].State == gate.Passed; passed && len(faults) > 0 {
			t.Errorf("it counts and is faulty: %v", faults)
		} else if passed && !strings.Contains(list[0].Message, "by ada ") {
			t.Errorf("it counts as %s", list[0].Message)
		}
	})
}
