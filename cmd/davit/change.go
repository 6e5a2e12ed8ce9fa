package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/history"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// who is who made a commit, as it is printed.
type who struct {
	Author         string `json:"author"`
	AuthorEmail    string `json:"authorEmail"`
	Committer      string `json:"committer"`
	CommitterEmail string `json:"committerEmail"`
	Signer         string `json:"signer,omitempty"`
	Unsigned       string `json:"unsigned,omitempty"` // why there is no signer, when signers were asked for
	PullRequest    string `json:"pullRequest,omitempty"`
	PromotedFrom   string `json:"promotedFrom,omitempty"`
	ByRule         bool   `json:"byRule,omitempty"` // nobody merged it
	Subject        string `json:"subject"`

	merge  bool
	merger string // "" where it is the author
}

func whoOf(w history.Who) who {
	return who{w.Author.Name, w.Author.Email, w.Committer.Name, w.Committer.Email, w.Signer, w.Unsigned, w.PullRequest, w.PromotedFrom, w.ByRule, w.Subject, w.Merge, w.Merger()}
}

// people are the author and, if it is somebody else, who merged or committed.
func (w who) people() string {
	switch {
	case w.ByRule && w.merger == "":
		return w.Author + ", by rule from " + orDash(w.PromotedFrom)
	case w.ByRule:
		return w.Author + ", merged by rule from " + orDash(w.PromotedFrom) + " as " + w.merger
	case w.merger == "":
		return w.Author
	case w.merge:
		return w.Author + ", merged by " + w.merger
	}
	return w.Author + ", committed by " + w.merger
}

// change is one commit that changed a release.
type change struct {
	Release string    `json:"release"`
	When    time.Time `json:"when"`
	who
	Model       string             `json:"model,omitempty"`
	From        string             `json:"from,omitempty"`
	To          string             `json:"to,omitempty"` // empty: the release was removed
	FromMetrics map[string]float64 `json:"fromMetrics,omitempty"`
	ToMetrics   map[string]float64 `json:"toMetrics,omitempty"`
	Outcome     string             `json:"outcome,omitempty"`
	Reason      string             `json:"reason,omitempty"`
	Message     string             `json:"message,omitempty"`
	Approvals   []approved         `json:"approvals,omitempty"`
	Served      []history.Period   `json:"served,omitempty"`
	Events      []gitops.Event     `json:"events,omitempty"`
	Commit      string             `json:"commit"`
	// Cut says that a shallow clone ends at the commit, which may have changed nothing.
	Cut bool `json:"cut,omitempty"`
}

func (p *past) change(ctx context.Context, r *history.Revision) (change, error) {
	by, err := p.Who(ctx, r.Commit, p.signers)
	if err != nil {
		return change{}, err
	}
	c := change{
		Release: r.Release.String(), When: r.When.UTC(), who: whoOf(by), From: r.From, To: r.To, Commit: r.Commit, Cut: r.Cut,
		Outcome: r.Outcome(), Events: r.Events, Served: r.Served,
	}
	if c.Model = path.Base(cmp.Or(r.ToModel, r.FromModel)); c.Model == "." {
		c.Model = ""
	}
	c.Reason, c.Message = r.Reason()
	if r.From != r.To {
		if c.FromMetrics, c.ToMetrics, err = p.Metrics(ctx, r.Change); err != nil {
			return change{}, err
		}
		c.Approvals, err = p.approvals(ctx, r.Change)
	}
	return c, err
}

func printChanges(w io.Writer, format string, list []change, signed bool) error {
	if format == "csv" {
		return printCSV(w, list)
	}
	header := []any{"RELEASE", "WHEN", "WHO", "CHANGE", "OUTCOME", "SERVED", "COMMIT", "SUBJECT"}
	if signed {
		header = slices.Insert(header, 3, any("SIGNER"))
	}
	var rows [][]any
	for _, c := range list {
		row := []any{
			c.Release, c.When.Local().Format(time.DateTime), c.by() + c.approvers(), c.versions(), c.outcome(), c.served(), short(c.Commit), c.Subject,
		}
		if signed {
			row = slices.Insert(row, 3, any(orDash(c.Signer)))
		}
		rows = append(rows, row)
	}
	return printData(w, format, list, header, rows)
}

// by are the people and the pull request.
func (w who) by() string {
	if w.PullRequest == "" {
		return w.people()
	}
	return w.people() + ", " + w.PullRequest
}

func (c change) versions() string {
	from := orDash(c.From)
	if c.Cut {
		from = "?"
	}
	text := from + " → " + orDash(c.To)
	if from == c.To {
		text = c.To
	}
	if m := metrics(c.FromMetrics, c.ToMetrics); m != "" {
		text += " (" + m + ")"
	}
	return text
}

// metrics tells how the versions' metrics compare.
func metrics(from, to map[string]float64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(to)) {
		text := name + " " + number(to[name])
		if was, ok := from[name]; ok && was != to[name] {
			text = name + " " + number(was) + " → " + number(to[name])
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// outcome is the last one, with the word for why.
func (c change) outcome() string {
	switch {
	case c.Outcome == string(v1alpha1.Pinned) && c.Message != "":
		return "pinned away (" + c.Message + ")"
	case c.Reason == "":
		return orDash(c.Outcome) + c.waited()
	}
	return c.Outcome + " (" + c.Reason + ")" + c.waited()
}

// waited tells what kept the revision back before it came to something.
func (c change) waited() string {
	var reasons []string
	for _, e := range c.Events {
		if e.Outcome == string(v1alpha1.Waiting) && !slices.Contains(reasons, e.Reason) {
			reasons = append(reasons, e.Reason)
		}
	}
	if len(reasons) == 0 || c.Outcome == string(v1alpha1.Waiting) {
		return ""
	}
	return ", waited (" + strings.Join(reasons, ", ") + ")"
}

// served is how long the revision served, or since when it does.
func (c change) served() string {
	if len(c.Served) == 0 {
		return "-"
	}
	before, last := c.Served[:len(c.Served)-1], c.Served[len(c.Served)-1]
	switch {
	case !last.Until.IsZero():
		return length(total(c.Served))
	case len(before) > 0:
		return length(total(before)) + " and since " + local(last.From)
	}
	return "since " + local(last.From)
}

func total(periods []history.Period) (sum time.Duration) {
	for _, p := range periods {
		sum += p.Length(time.Now())
	}
	return sum
}

// plain is text that changes nothing about a terminal: commits say what anybody likes.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '�'
		}
		return r
	}, text)
}

// plainLines is text of several lines, such as a fault or a file's, that changes nothing about a terminal.
func plainLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		cells := strings.Split(line, "\t")
		for j, cell := range cells {
			cells[j] = plain(cell)
		}
		lines[i] = strings.Join(cells, "\t")
	}
	return strings.Join(lines, "\n")
}

func printCSV(w io.Writer, list []change) error {
	out := csv.NewWriter(w)
	out.Write(strings.Split("release,when,author,authorEmail,committer,committerEmail,signer,pullRequest,model,from,to,fromMetrics,toMetrics,"+
		"outcome,reason,message,servedFrom,servedUntil,servedSeconds,commit,subject,approvals", ","))
	for _, c := range list {
		var from, until time.Time
		seconds := ""
		if n := len(c.Served); n > 0 {
			from, until, seconds = c.Served[0].From, c.Served[n-1].Until, strconv.Itoa(int(total(c.Served).Seconds()))
		}
		out.Write([]string{c.Release, stamp(c.When), c.Author, c.AuthorEmail, c.Committer, c.CommitterEmail, c.Signer, c.PullRequest, c.Model,
			c.From, c.To, metrics(nil, c.FromMetrics), metrics(nil, c.ToMetrics), c.Outcome, c.Reason, c.Message,
			stamp(from), stamp(until), seconds, c.Commit, c.Subject, strings.TrimPrefix(c.approvers(), approvedBy)})
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	return nil
}

// stamp is a time for machines.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
