package main

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/davit-dev/davit/registry"
)

// The lines between which CODEOWNERS is davit's.
const (
	ownersBegin = "# davit begins"
	ownersEnd   = "# davit ends"
)

// section is a text's part between the two lines, with them, and what stands around it.
func section(text string) (before, is, after string, found bool) {
	begin := strings.Index("\n"+text, "\n"+ownersBegin+"\n")
	if begin < 0 {
		return text, "", "", false
	}
	end := strings.Index(text[begin:]+"\n", "\n"+ownersEnd+"\n")
	if end < 0 {
		return text, "", "", false
	}
	end = min(begin+end+len("\n"+ownersEnd+"\n"), len(text))
	return text[:begin], text[begin:end], text[end:], true
}

// canonical is a section whose blocks are ordered and have each line once: a merge that keeps both sides of a block
// changes nothing.
func canonical(text string) string {
	var blocks []string
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		lines := strings.Split(block, "\n")
		slices.Sort(lines)
		blocks = append(blocks, strings.Join(slices.Compact(lines), "\n"))
	}
	return strings.Join(blocks, "\n\n")
}

// ownership is davit's section of CODEOWNERS, and what keeps it from being written. Of two lines that match the last one
// counts. Names of teams, models and releases are DNS labels, so that
// no pattern but the folder has anything to escape. Patterns begin at the repository's root, as the file does.
func ownership(models *registry.Registry, organisation, folder string) (text string, faults []registry.Fault) {
	w := &ownersWriter{models: models, organisation: organisation, top: "/"}
	if folder != "" {
		w.top += strings.ReplaceAll(folder, " ", `\ `) + "/"
	}
	for _, f := range models.Faults {
		if base := path.Base(f.Path); base == "davit.yaml" || base == "team.yaml" || base == "model.yaml" || strings.HasPrefix(f.Path, "releases/") {
			w.faults = append(w.faults, f)
		}
	}
	root := w.names("davit.yaml", models.Spec.Owners)
	w.block("everything that no line below names", line{w.all(), root})
	var own []line
	for _, name := range slices.Sorted(maps.Keys(models.Models)) {
		if m := models.Models[name]; m.Team == "" {
			own = append(own, line{w.top + path.Dir(m.Path) + "/", w.names(m.Path, m.Spec.Owners)})
		}
	}
	released := map[string]string{}
	for _, r := range models.Releases {
		if r.Team == "" && r.Model.Team == "" {
			released[r.Dir] = w.names(r.Model.Path, r.Model.Spec.Owners)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(released)) {
		own = append(own, line{w.top + dir + "/", released[dir]})
	}
	w.block("models at the root, and their releases", own...)
	var teams []line
	for _, name := range slices.Sorted(maps.Keys(models.Teams)) {
		t := models.Teams[name]
		teams = append(teams, line{w.top + path.Dir(t.Path) + "/", w.names(t.Path, t.Spec.Owners)})
	}
	w.block("teams", teams...)
	w.block("where releases run, and by which policy", line{w.top + "davit.yaml", root}, line{w.top + "environments/", root}, line{w.top + "runtimes/", root}, line{w.top + "accelerators/", root})
	w.text.WriteString("# nobody's: a signature says who it is from\n" + w.top + "approvals/\n")
	return ownersBegin + "\n" + w.text.String() + ownersEnd + "\n", w.faults
}

// line is who owns what a pattern matches.
type line struct{ pattern, owners string }

// ownersWriter writes blocks of lines.
type ownersWriter struct {
	models       *registry.Registry
	organisation string
	top          string // begins the patterns: "/", and the registry's folder
	text         strings.Builder
	faults       []registry.Fault
}

// all matches the whole registry.
func (w *ownersWriter) all() string {
	if w.top == "/" {
		return "*"
	}
	return w.top
}

// block writes those lines that somebody owns, below a title: one that nobody owns would take away what a line above gives.
func (w *ownersWriter) block(title string, lines ...line) {
	lines = slices.DeleteFunc(lines, func(l line) bool { return l.owners == "" })
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(&w.text, "# %s\n", title)
	for _, l := range lines {
		fmt.Fprintf(&w.text, "%s %s\n", l.pattern, l.owners)
	}
	w.text.WriteString("\n")
}

var (
	// account is @user or @organisation/team (GitLab: groups below each other), or an email address.
	account = regexp.MustCompile(`^(@[A-Za-z0-9][-._A-Za-z0-9]*(/[-._A-Za-z0-9]+)*|[^\s\p{Z}@#\\\p{C}]+@[^\s\p{Z}@#\\\p{C}]+\.[^\s\p{Z}@#\\\p{C}]+)$`)
	// teamName is a team's, without its organisation.
	teamName = regexp.MustCompile(`^[A-Za-z0-9][-._A-Za-z0-9]*$`)
)

// names are owners as CODEOWNERS has them. A forge passes over a whole line that has one it does not know.
func (w *ownersWriter) names(file string, owners []string) string {
	var out []string
	for _, owner := range owners {
		switch {
		case account.MatchString(owner):
			out = append(out, owner)
		case w.organisation != "" && teamName.MatchString(owner):
			out = append(out, "@"+w.organisation+"/"+owner)
		default:
			f := registry.Fault{Path: file, Line: w.models.Line(file, "owners"), Text: fmt.Sprintf(
				"owner %q is none that a forge knows; write @user, @organisation/team or an email address, or pass --organisation for a team's name", owner)}
			if !slices.Contains(w.faults, f) {
				w.faults = append(w.faults, f)
			}
		}
	}
	return strings.Join(out, " ")
}
