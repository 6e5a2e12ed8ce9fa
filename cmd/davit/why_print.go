package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/davit-dev/davit/gitops"
)

// origin is what davit why says.
type origin struct {
	Object    string `json:"object"`
	Namespace string `json:"namespace"`
	// Release is empty for what davit did not make: Managers did.
	Release string `json:"release,omitempty"`
	Version string `json:"version,omitempty"`
	// At is the commit that is told of: the applied one, or without a cluster the branch's tip.
	At    string `json:"at,omitempty"`
	Image string `json:"image,omitempty"` // in the cluster
	Phase string `json:"phase,omitempty"`
	Held  string `json:"held,omitempty"`
	// Pinned is to what, by whom and why.
	Pinned string `json:"pinned,omitempty"`
	// ByPin says that the pin makes it what it is; Commit and Lines would make it otherwise.
	ByPin bool   `json:"byPin,omitempty"`
	Field string `json:"field,omitempty"`
	Value any    `json:"value,omitempty"`
	// Removed says that Commit took the field or object away, Created that the release came with it.
	Removed bool       `json:"removed,omitempty"`
	Created bool       `json:"created,omitempty"`
	Commit  saidCommit `json:"commit,omitzero"`
	// Written is the commit of the branch that Commit merged.
	Written *saidCommit `json:"written,omitempty"`
	Lines   []saidLine  `json:"lines"`
	// Files are those that make the object, when no field was asked for.
	Files []string `json:"files,omitempty"`
	// Davit says what sets the field when no file does.
	Davit string `json:"davit,omitempty"`
	// Managers are others than davit who own the field.
	Managers []string `json:"managers,omitempty"`
	// Tip is what the branch asks for when that is something else.
	Tip      *origin `json:"tip,omitempty"`
	TipFault string  `json:"tipFault,omitempty"`
}

// saidCommit is a commit and its people.
type saidCommit struct {
	Hash      string    `json:"hash"`
	Subject   string    `json:"subject"`
	Author    string    `json:"author"`
	Date      time.Time `json:"date"` // of the author
	Committer string    `json:"committer"`
}

// saidLine is one line of a file, and the commit it comes from.
type saidLine struct {
	Path   string     `json:"path"`
	Line   int        `json:"line,omitempty"` // absent for the whole file
	Text   string     `json:"text,omitempty"`
	Gone   bool       `json:"gone,omitempty"`
	Commit saidCommit `json:"commit"`
}

func said(c gitops.Commit) saidCommit {
	person := func(p gitops.Person) string { return p.Name + " <" + p.Email + ">" }
	return saidCommit{Hash: c.Hash.String(), Subject: c.Subject, Author: person(c.Author), Date: c.Author.When, Committer: person(c.Committer)}
}

// by is who wrote a commit, and who committed it if somebody else did.
func (c saidCommit) by() string {
	text := c.Author + ", " + c.Date.Format(time.DateTime)
	if c.Committer != c.Author {
		text += ", committed by " + c.Committer
	}
	return text
}

func (o *origin) print(out io.Writer) error {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-9s %s\n", name, fmt.Sprintf(format, args...))
	}
	if o.Release == "" {
		row("object", "%s in %s", o.Object, o.Namespace)
		row("made by", "%s, not by davit", strings.Join(o.Managers, ", "))
		_, err := io.WriteString(out, plainLines(b.String()))
		return err
	}
	row("object", "%s in %s", o.Object, o.Namespace)
	if o.At == "" {
		row("release", "%s, of which no file says the field", o.Release)
		row("field", "%s is set by %s", o.Field, strings.Join(o.Managers, ", "))
		_, err := io.WriteString(out, plainLines(b.String()))
		return err
	}
	row("release", "%s, %s at %s%s", o.Release, o.Version, short(o.At), brackets(o.Phase))
	if o.Held != "" {
		row("held", "%s", strings.ReplaceAll(o.Held, "\n", " "))
	}
	if o.Pinned != "" {
		row("pinned", "%s", strings.ReplaceAll(o.Pinned, "\n", " "))
	}
	if o.ByPin {
		if o.Field != "" {
			row("field", "%s: %s", o.Field, value(o.Value))
		}
		row("because", "of the pin; davit resume %s ends it", o.Release)
	} else {
		o.printCause(&b, row)
	}
	if o.TipFault != "" {
		row("branch", "%s at %s", o.TipFault, "its tip")
	} else if o.Tip != nil {
		fmt.Fprintf(&b, "\nThe branch, at %s, asks for something else:\n", short(o.Tip.At))
		o.Tip.printCause(&b, row)
	}
	_, err := io.WriteString(out, plainLines(b.String()))
	return err
}

// printCause prints what makes the object or the field, and who.
func (o *origin) printCause(b *strings.Builder, row func(string, string, ...any)) {
	switch {
	case o.Removed:
		row("field", "%s is gone", o.Field)
	case o.Field != "":
		row("field", "%s: %s", o.Field, value(o.Value))
	}
	if len(o.Managers) > 0 {
		row("set also", "by %s; davit drift %s shows where that differs", strings.Join(o.Managers, ", "), o.Release)
	}
	if o.Written != nil {
		row("commit", "%s  %s", short(o.Written.Hash), o.Written.Subject)
		row("author", "%s", o.Written.by())
		row("merged", "%s  %s", short(o.Commit.Hash), o.Commit.Subject)
		row("by", "%s", o.Commit.by())
	} else {
		row("commit", "%s  %s", short(o.Commit.Hash), o.Commit.Subject)
		row("author", "%s", o.Commit.by())
	}
	if o.Davit != "" {
		row("davit", "davit sets this: %s", o.Davit)
	}
	if o.Created && o.Field == "" { // most lines of most files
		for _, file := range o.Files {
			b.WriteString(file + ":" + ranges(o.Lines, file) + "\n")
		}
		return
	}
	if len(o.Files) > 0 {
		row("made of", "%s", strings.Join(o.Files, "\n          "))
	}
	for _, l := range o.Lines {
		b.WriteString(l.place())
		if c := l.Commit; c.Hash != o.Commit.Hash && c.Hash != "" {
			fmt.Fprintf(b, "    %s  %s, %s\n", short(c.Hash), c.Subject, c.by())
		}
	}
}

func (l saidLine) place() string {
	switch {
	case l.Line == 0 && l.Gone:
		return l.Path + ": removed\n"
	case l.Line == 0:
		return l.Path + "\n"
	case l.Gone:
		return fmt.Sprintf("%s:%d: removed: %s\n", l.Path, l.Line, l.Text)
	}
	return fmt.Sprintf("%s:%d: %s\n", l.Path, l.Line, l.Text)
}

// ranges are the lines of a file, as 4,7-9.
func ranges(lines []saidLine, file string) string {
	var parts []string
	first, last := 0, -1
	end := func() {
		switch {
		case last == first:
			parts = append(parts, strconv.Itoa(first))
		case last > first:
			parts = append(parts, fmt.Sprintf("%d-%d", first, last))
		}
	}
	for _, l := range lines {
		if l.Path != file {
			continue
		}
		if l.Line != last+1 || last < 0 {
			end()
			first = l.Line
		}
		last = l.Line
	}
	end()
	return strings.Join(parts, ",")
}

func brackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// value is a field's on one line.
func value(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	const most = 200
	if len(data) > most {
		return string(data[:most]) + "…"
	}
	return string(data)
}
