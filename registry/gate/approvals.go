package gate

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/davit-dev/davit/registry"
)

// voter is a key of a role and what its approval says.
type voter struct {
	key  ssh.PublicKey
	name string // as the policy calls the key; "" when it does not
	by   string // "" without one that counts
	at   time.Time
}

// ballot are a role's keys, and what lies there and does not count, with why.
type ballot struct {
	role   string
	voters []*voter
	void   []string
}

// maxVoid is how many files that do not count are told of: anybody can add more.
const maxVoid = 5

// approvals asks whether enough people approved. Files that others put beside theirs are not opened: a role's keys say
// what their approvals are called.
func approvals(fsys fs.FS, r *registry.Release, gates registry.Gates, policy registry.Policy) (findings []Finding, err error) {
	ballots, _, err := vote(fsys, r, gates, policy)
	chosen := choose(ballots, gates.Approvals)
	for _, b := range ballots {
		findings = append(findings, b.finding(r, gates.Approvals[b.role], chosen))
	}
	return findings, err
}

// Counted lists the approvals of a release at its version, by role and key, in each role that there is, whether one is
// wanted or not. floor is as in [Facts].
func Counted(fsys fs.FS, r *registry.Release, floor *registry.Policy) (counted []Approval, err error) {
	gates, policy := Gates(r, floor), Policy(r, floor)
	for role, keys := range policy.Roles {
		gates.Approvals[role] = max(gates.Approvals[role], len(keys))
	}
	ballots, digest, err := vote(fsys, r, gates, policy)
	chosen := choose(ballots, gates.Approvals)
	for _, b := range ballots {
		for _, v := range b.voters {
			if v.by != "" && chosen[v.id()] == b.role {
				counted = append(counted, Approval{Release: r.Key(), Version: r.ModelVersion.Name, Role: b.role, By: v.who(), At: v.at, Digest: digest})
			}
		}
	}
	return counted, err
}

// vote reads the approvals in each role that is wanted.
func vote(fsys fs.FS, r *registry.Release, gates registry.Gates, policy registry.Policy) (ballots []*ballot, digest string, err error) {
	if len(gates.Approvals) == 0 {
		return nil, "", nil
	}
	if digest, err = Digest(fsys, r); err != nil {
		return nil, "", err
	}
	dir := ApprovalsDir(r.Key(), r.ModelVersion.Name)
	there, err := list(fsys, dir)
	if err != nil {
		return nil, "", err
	}
	files := map[string]bool{}
	for _, e := range there {
		files[e.Name()] = e.Type().IsRegular()
	}
	for _, role := range slices.Sorted(maps.Keys(gates.Approvals)) {
		b := &ballot{role: role, voters: voters(policy.Roles[role])}
		if err := b.count(fsys, dir, digest, files); err != nil {
			return nil, "", err
		}
		ballots = append(ballots, b)
	}
	return ballots, digest, nil
}

// Approved says whether the approval by a key in a role is there and is of what r is, whether the role has that key or not.
func Approved(fsys fs.FS, r *registry.Release, role string, key ssh.PublicKey) (bool, error) {
	digest, err := Digest(fsys, r)
	if err != nil {
		return false, err
	}
	b := &ballot{role: role, voters: []*voter{{key: key}}}
	name := Approval{Release: r.Key(), Version: r.ModelVersion.Name, Role: role}.Path(key)
	info, err := fs.Stat(fsys, name)
	if err != nil && absent(err) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("reading %s: %w", name, err)
	}
	err = b.count(fsys, path.Dir(name), digest, map[string]bool{path.Base(name): info.Mode().IsRegular()})
	return b.voters[0].by != "", err
}

// voters are a role's keys, each once, in the order of their fingerprints.
func voters(lines []string) (list []*voter) {
	for _, line := range lines {
		if key, comment, err := ParseKey(line); err == nil { // told where the policy was read
			list = append(list, &voter{key: key, name: comment})
		}
	}
	slices.SortFunc(list, func(a, b *voter) int { return cmp.Compare(a.id(), b.id()) })
	return slices.CompactFunc(list, func(a, b *voter) bool { return a.id() == b.id() })
}

// who is how the policy calls the key, or else how the approver does.
func (v *voter) who() string { return cmp.Or(v.name, v.by) }

func (v *voter) id() string { return string(v.key.Marshal()) }

// count reads the approvals of the role's keys; files are the folder's, and whether each is one.
func (b *ballot) count(fsys fs.FS, dir, digest string, files map[string]bool) error {
	looked := map[string]bool{}
	for _, v := range b.voters {
		name := b.role + "." + Fingerprint(v.key) + ".yaml"
		if looked[name] = true; !files[name] {
			continue
		}
		a, faults, err := readApproval(fsys, path.Join(dir, name))
		if err != nil {
			return err
		}
		why := ""
		switch {
		case len(faults) > 0:
			why = faults[0].Text
		case a.Digest != digest:
			why = "was given for another content: approve again"
		default:
			if err := a.verify(v.key); err != nil {
				why = err.Error()
			}
		}
		if why != "" {
			b.void = append(b.void, name+" "+why)
			continue
		}
		v.by, v.at = a.By, a.At
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if role, _, _ := strings.Cut(name, "."); role == b.role && !looked[name] && approvalName.MatchString(name) {
			b.void = append(b.void, name+" is by a key that is not under roles."+b.role)
		}
	}
	return nil
}

// choose says for each key that approved in which role it counts: in one, so that the roles have what they want where
// that can be. It is a matching by augmenting paths, of a few keys.
func choose(ballots []*ballot, want map[string]int) map[string]string {
	in := map[string]string{}
	held := func(role string) (n int) {
		for _, r := range in {
			if r == role {
				n++
			}
		}
		return n
	}
	byRole := map[string]*ballot{}
	for _, b := range ballots {
		byRole[b.role] = b
	}
	// take gives a role one more key, which it may take from a role that finds another one.
	var take func(b *ballot, seen map[string]bool) bool
	take = func(b *ballot, seen map[string]bool) bool {
		for _, v := range b.voters {
			id := v.id()
			if v.by == "" || seen[id] || in[id] == b.role {
				continue
			}
			seen[id] = true
			if in[id] == "" || take(byRole[in[id]], seen) {
				in[id] = b.role
				return true
			}
		}
		return false
	}
	for _, b := range ballots {
		for held(b.role) < want[b.role] && take(b, map[string]bool{}) {
		}
	}
	return in
}

func (b *ballot) finding(r *registry.Release, want int, chosen map[string]string) Finding {
	f := Finding{Gate: "approvals/" + b.role, State: Failed}
	if len(b.voters) == 0 {
		f.Message = fmt.Sprintf("%s needs %s in role %s, and no key is in that role; add keys under roles.%s in %s",
			r.ModelVersion, needed(want), b.role, b.role, r.Environment.Path)
		return f
	}
	var who, void []string
	for _, v := range b.voters {
		switch in := chosen[v.id()]; {
		case v.by == "":
		case in == b.role || in == "":
			who = append(who, fmt.Sprintf("%s (%s, %s)", v.who(), Fingerprint(v.key), v.at.UTC().Format(time.DateOnly)))
		default:
			void = append(void, fmt.Sprintf("that of %s (%s) counts in role %s already", v.who(), Fingerprint(v.key), in))
		}
	}
	if len(who) >= want {
		f.State, f.Message = Passed, "approved by "+strings.Join(who, ", ")
		return f
	}
	has := "none"
	if len(who) > 0 {
		has = strings.Join(who, ", ")
	}
	f.Message = fmt.Sprintf("%s needs %s in role %s and has %s; davit approve %s@%s --as %s",
		r.ModelVersion, needed(want), b.role, has, r.Key(), r.ModelVersion.Name, b.role)
	void = append(void, b.void...)
	if n := len(void) - maxVoid; n > 0 {
		void = append(void[:maxVoid], fmt.Sprintf("%d more", n))
	}
	if len(void) > 0 {
		f.Message += "; not counted: " + strings.Join(void, ", ")
	}
	return f
}

func needed(n int) string {
	if n == 1 {
		return "1 approval"
	}
	return fmt.Sprintf("%d approvals", n)
}
