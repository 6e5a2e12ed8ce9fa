package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// pageWidth is how wide the page is; only commands, images and paths may be wider.
const pageWidth = 100

// page is all there is to know of one release.
func (v *view) page(ctx context.Context, out io.Writer, mr *v1alpha1.ModelRelease) error {
	want, err := v.wants(ctx, mr)
	if err != nil {
		return err
	}
	s := v.situation(ctx, mr)
	s.behind = want != nil && !want.same && !mr.Pending()
	p := &page{}
	st := mr.Status
	p.line("%s  %s", releaseOf(mr), stands(mr))
	all := findings(mr, s)
	if refused(mr) {
		p.finding(all[0])
		all = all[1:]
	}
	v.serves(ctx, p, mr)
	p.served(st.Serving)
	v.asks(p, mr, want)
	if mr.Pending() {
		p.row("on its way", fmt.Sprintf("%s at %s, since %s, by %s", orDash(mr.Spec.Claim.Version), short(mr.Spec.Claim.Commit),
			mr.Spec.Claim.Time.Local().Format(time.DateTime), orDash(mr.Spec.Claim.Holder)))
	}
	for _, f := range all {
		p.finding(f)
	}
	for i, o := range st.Outcomes {
		title := ""
		if i == 0 {
			title = "outcomes"
		}
		text := fmt.Sprintf("%s  %-10s %s at %s", o.At.Local().Format(time.DateTime), o.Outcome, orDash(o.Version), short(o.Commit))
		if st.Held == nil || !strings.Contains(st.Held.Reason, o.Reason) { // said above
			text = strings.TrimSpace(text + "  " + o.Reason)
		}
		p.row(title, shorten(text, pageWidth-pageIndent))
	}
	_, err = io.WriteString(out, p.String())
	return err
}

// serves tells of the revision that has the traffic.
func (v *view) serves(ctx context.Context, p *page, mr *v1alpha1.ModelRelease) {
	st := mr.Status
	title, revision := "serves", st.Applied
	switch t := st.Traffic; {
	case revision.Commit == "":
		p.row("serves", "nothing yet")
		return
	case t != nil && t.Next != "" && st.Healthy.Commit != "":
		revision = st.Healthy
	case st.Applied.ObjectsHash != st.Healthy.ObjectsHash:
		title = "applied"
	}
	p.row(title, fmt.Sprintf("%s, since %s (%s)", orDash(revision.Version), revision.Time.Local().Format(time.DateTime), age(revision.Time.Time)))
	if revision.Image != "" {
		p.raw(revision.Image)
	}
	c, ok := v.commit(ctx, revision.Commit)
	if !ok {
		p.row("commit", short(revision.Commit)+", which is not in this repository")
		return
	}
	p.commit("commit", c)
	if title == "applied" && st.Healthy.Commit != "" {
		p.row("healthy", fmt.Sprintf("last %s at %s, on %s", orDash(st.Healthy.Version), short(st.Healthy.Commit), st.Healthy.Time.Local().Format(time.DateTime)))
	}
}

// asks tells what the branch asks for, where that is something else.
func (v *view) asks(p *page, mr *v1alpha1.ModelRelease, want *wants) {
	switch {
	case want == nil || want.same:
	case want.gone:
		p.row("branch", "no longer has it: the release is deleted, unless the environment's guards stop that.")
	case want.fault != "":
		p.row("branch", "has a fault, so the release stays as it is.")
		p.raw(want.fault)
	case mr.Status.Held != nil && want.commit.Hash.String() == mr.Status.Held.Commit:
		p.row("branch", "asks for what is held.")
	default:
		p.row("branch", "asks for "+want.release.ModelVersion.Name+":")
		p.commit("", want.commit)
	}
}

// pageIndent is how wide the titles are.
const pageIndent = 12

// page is text in two columns.
type page struct{ strings.Builder }

func (p *page) line(format string, args ...any) {
	p.WriteString(plain(fmt.Sprintf(format, args...)) + "\n")
}

// row is a title and text, wrapped.
func (p *page) row(title, text string) {
	line := fmt.Sprintf("%-*s", pageIndent, title)
	empty := true
	for _, word := range strings.SplitAfter(strings.NewReplacer("\n", " ", "\t", " ").Replace(text), " ") {
		if !empty && utf8.RuneCountInString(line+strings.TrimRight(word, " ")) > pageWidth {
			p.line("%s", strings.TrimRight(line, " "))
			line = strings.Repeat(" ", pageIndent)
		}
		line += word
		empty = false
	}
	p.line("%s", strings.TrimRight(line, " "))
}

// raw is text that is not wrapped, to be copied.
func (p *page) raw(text string) {
	for line := range strings.SplitSeq(text, "\n") {
		p.line("%*s%s", pageIndent, "", line)
	}
}

func (p *page) finding(f finding) {
	p.row(f.What, f.Text)
	for _, command := range f.Do {
		p.command(command)
	}
}

func (p *page) command(text string) { p.raw("$ " + text) }

func (p *page) commit(title string, c gitops.Commit) {
	p.row(title, fmt.Sprintf("%s  %s", short(c.Hash.String()), c.Subject))
	who := fmt.Sprintf("%s <%s>, %s", c.Author.Name, c.Author.Email, c.Author.When.Format(time.DateTime))
	if c.Committer.Email != c.Author.Email || c.Committer.Name != c.Author.Name {
		who += ", committed by " + c.Committer.Name
	}
	p.row("", "by "+who)
}
