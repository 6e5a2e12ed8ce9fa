package results

import (
	"fmt"
	"strings"
	"time"
)

// Markdown is the table with what is needed to judge it.
func (r *Results) Markdown() string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "# davit at scale: one run of `make bench`\n\n")
	fmt.Fprintf(&b, "%s; %s, %d cores, %d MiB memory, Linux %s; %s; Kubernetes %s, its API server and etcd on the same cores.\n\n",
		r.Date.UTC().Format(time.DateOnly), m.CPU, m.Cores, m.MemoryMiB, m.Kernel, m.Go, m.Kubernetes)
	b.WriteString("| releases | what | target | measured | held |\n|---:|---|---|---|---|\n")
	for _, row := range r.Rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", thousands(row.Releases), row.What, row.Target, row.Measured, verdict(row.Held))
	}
	b.WriteString("\n![First sync and promotion](results.svg)\n")
	if len(r.Notes) > 0 {
		b.WriteString("\n")
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "- %s\n", note)
	}
	return b.String()
}

func verdict(held *bool) string {
	switch {
	case held == nil:
		return ""
	case *held:
		return "yes"
	}
	return "**no**"
}

// thousands writes 10000 as 10,000.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
