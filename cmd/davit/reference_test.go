package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestCommandReference holds deploy/docs/reference/cli.md against the commands and their flags; UPDATE=1 writes it.
func TestCommandReference(t *testing.T) {
	const page = "../../deploy/docs/reference/cli.md"
	root := newRoot()
	root.InitDefaultCompletionCmd()
	var b bytes.Buffer
	b.WriteString("# davit's command line\n\nWritten by `UPDATE=1 go test ./cmd/davit -run TestCommandReference` from the commands themselves.\n" +
		"`davit COMMAND --help` tells the same.\n\n" + root.Long + "\n\n" +
		"Exit codes: 0 done, 1 failed, 2 wrong usage, 3 (`plan`, `drift`) there are changes, 4 (`validate`) the registry has faults.\n\n| command | |\n|---|---|\n")
	all := helped(root)
	for _, c := range all {
		if c.Runnable() {
			fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", cellText(strings.TrimSuffix(c.UseLine(), " [flags]")), strings.ReplaceAll(c.CommandPath(), " ", "-"), c.Short)
		}
	}
	b.WriteString("\n## Flags of all commands\n\n")
	writeFlags(&b, root.PersistentFlags())
	for _, c := range all {
		writeCommand(&b, c)
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(page, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(page); err != nil || !bytes.Equal(have, b.Bytes()) {
		t.Errorf("%s is not what the commands say (%v); UPDATE=1 go test ./cmd/davit -run TestCommandReference", page, err)
	}
}

// helped are the commands below one that help shows, each before those below it.
func helped(c *cobra.Command) (all []*cobra.Command) {
	for _, below := range c.Commands() {
		if below.IsAvailableCommand() && below.Name() != "help" && c.Name() != "completion" {
			all = append(append(all, below), helped(below)...)
		}
	}
	return all
}

// writeCommand writes what a command is, how it is called, and its flags.
func writeCommand(b *bytes.Buffer, c *cobra.Command) {
	fmt.Fprintf(b, "\n## %s\n\n", c.CommandPath())
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	fmt.Fprintf(b, "```\n%s\n```\n\n", c.UseLine())
	writeParagraphs(b, text)
	if c.Example != "" {
		fmt.Fprintf(b, "\n```\n%s\n```\n", outdent(c.Example))
	}
	if c.LocalNonPersistentFlags().HasAvailableFlags() {
		b.WriteString("\n")
		writeFlags(b, c.LocalNonPersistentFlags())
	}
}

// writeParagraphs writes help as Markdown: what is indented there is code here.
func writeParagraphs(b *bytes.Buffer, text string) {
	for i, p := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			b.WriteString("\n")
		}
		if strings.HasPrefix(p, "  ") {
			fmt.Fprintf(b, "```\n%s\n```\n", outdent(p))
		} else {
			b.WriteString(strings.ReplaceAll(p, "<", "&lt;") + "\n")
		}
	}
}

func outdent(text string) string {
	return strings.ReplaceAll(strings.TrimPrefix(text, "  "), "\n  ", "\n")
}

func writeFlags(b *bytes.Buffer, flags *pflag.FlagSet) {
	b.WriteString("| flag | |\n|---|---|\n")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if f.DefValue == "" || f.DefValue == "false" || f.DefValue == "0" || f.DefValue == "0s" || f.DefValue == "[]" {
			fmt.Fprintf(b, "| `%s` | %s |\n", strings.TrimSpace(name+" "+value), cellText(usage))
			return
		}
		fmt.Fprintf(b, "| `%s` | %s (default `%s`) |\n", strings.TrimSpace(name+" "+value), cellText(usage), f.DefValue)
	})
}

func cellText(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ").Replace(text)
}
