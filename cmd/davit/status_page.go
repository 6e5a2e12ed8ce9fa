package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/status"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// pageWidth is how wide the page is; only commands, images and paths may be wider.
const pageWidth = 100

// page is all there is to know of one release.
func (v *view) page(ctx context.Context, out io.Writer, mr *v1alpha1.ModelRelease) error {
	asked, err := v.Asks(ctx, mr)
	if err != nil {
		return err
	}
	all, err := v.Findings(ctx, mr, v.owner(mr))
	if err != nil {
		return err
	}
	p := &page{}
	p.line("%s  %s", keyOf(mr), status.Stands(mr))
	if status.Refused(mr) {
		p.finding(all[0])
		all = all[1:]
	}
	p.serves(v.Serves(ctx, mr))
	if m := status.Metrics(mr.Status.Serving); m != "" {
		p.row("metrics", m)
	}
	p.asked(asked)
	if way := status.OnItsWay(mr); way != "" {
		p.row("on its way", way)
	}
	for _, f := range all {
		p.finding(f)
	}
	p.outcomes(mr.Status)
	_, err = io.WriteString(out, p.String())
	return err
}

// outcomes lists the newest, newest first.
func (p *page) outcomes(st v1alpha1.ModelReleaseStatus) {
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
}

// serves tells of the revision that has the traffic.
func (p *page) serves(s status.Serving) {
	if s.Revision.Commit == "" {
		p.row("serves", "nothing yet")
		return
	}
	title := "serves"
	if s.Applied {
		title = "applied"
	}
	p.row(title, fmt.Sprintf("%s, since %s (%s)", orDash(s.Version), s.Time.Local().Format(time.DateTime), age(s.Time.Time)))
	if s.Image != "" {
		p.raw(s.Image)
	}
	if s.By.Hash.IsZero() {
		p.row("commit", short(s.Commit)+", which is not in this repository")
		return
	}
	p.commit("commit", s.By)
	if h := s.Healthy; h != nil {
		p.row("healthy", fmt.Sprintf("last %s at %s, on %s", orDash(h.Version), short(h.Commit), h.Time.Local().Format(time.DateTime)))
	}
}

// asked tells what the branch asks for, where that is something else.
func (p *page) asked(a *status.Asked) {
	if a == nil || a.Same {
		return
	}
	p.row("branch", a.Text())
	if a.Fault != "" {
		p.raw(a.Fault)
	}
	if !a.Commit.Hash.IsZero() && !a.Held {
		p.commit("", a.Commit)
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

func (p *page) finding(f status.Finding) {
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
