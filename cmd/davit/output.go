package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// outputFlag adds -o with the formats a command knows, the first being the default.
func outputFlag(c *cobra.Command, formats ...string) *string {
	value := c.Flags().StringP("output", "o", formats[0], "output format: "+join(formats))
	c.PreRunE = func(*cobra.Command, []string) error {
		for _, f := range formats {
			if *value == f {
				return nil
			}
		}
		return usage{fmt.Errorf("-o %q is not known; use %s", *value, join(formats))}
	}
	return value
}

func join(words []string) string {
	text := words[0]
	for i, w := range words[1:] {
		if i == len(words)-2 {
			text += " or " + w
		} else {
			text += ", " + w
		}
	}
	return text
}

// printData writes v as json or yaml, or rows as a table.
func printData(w io.Writer, format string, v any, header []any, rows [][]any) error {
	switch format {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	case "yaml":
		data, err := yaml.Marshal(v)
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(cells []any) {
		for i, c := range cells {
			if i > 0 {
				fmt.Fprint(tab, "\t")
			}
			fmt.Fprint(tab, plain(fmt.Sprint(c)))
		}
		fmt.Fprintln(tab)
	}
	line(header)
	for _, r := range rows {
		line(r)
	}
	return tab.Flush()
}

// age is how long ago t was, in the largest fitting unit.
func age(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return length(time.Since(t))
}

// length is a duration in the largest fitting unit.
func length(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

func short(hash string) string { return hash[:min(len(hash), 12)] }

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
