package made

import (
	"fmt"
	"slices"
	"strings"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/plan"
	"github.com/davit-dev/davit/registry"
)

// Sweep are the trials of a sweep, as the ledger has them, each with its Trial.
type Sweep struct {
	Spec registry.Sweep
	Runs []gitops.Run
}

// ranked are the trials with the best first; of those that are equal the order stays.
func (s *Sweep) ranked() []gitops.Run {
	runs := slices.Clone(s.Runs)
	succeeded := func(r gitops.Run) bool { return r.State == gitops.RunSucceeded }
	slices.SortStableFunc(runs, func(a, b gitops.Run) int {
		switch {
		case succeeded(a) != succeeded(b):
			if succeeded(a) {
				return -1
			}
			return 1
		case s.Spec.Better(a.Metrics, b.Metrics):
			return -1
		case s.Spec.Better(b.Metrics, a.Metrics):
			return 1
		}
		return 0
	})
	return runs
}

// maxVaried bounds a table's columns.
const maxVaried = 8

// table tells what the trials came to, which of them is this one, and how many more there were.
func (s *Sweep) table(b *strings.Builder, hash string) {
	runs := s.ranked()
	fmt.Fprintf(b, "\n**Trials**\n\n%s %s:\n\n", s.why(runs), plan.Code(word(s.Spec.Metric)))
	names := s.Spec.Varied()
	more := len(names) - maxVaried
	names = names[:min(len(names), maxVaried)]
	head := []string{"run"}
	for _, name := range names {
		head = append(head, inCell(word(name)))
	}
	row(b, append(head, inCell(word(s.Spec.Metric)), "state"))
	b.WriteString(strings.Repeat("|---", len(head)+2) + "|\n")
	for _, run := range runs[:min(len(runs), maxRows)] {
		row(b, s.cells(run, names, run.Hash == hash))
	}
	if n := len(runs) - maxRows; n > 0 {
		fmt.Fprintf(b, "\nand %d more\n", n)
	}
	if more > 0 {
		fmt.Fprintf(b, "\n%s more differ between them\n", counted(more, "hyperparameter"))
	}
}

// why says how the best was found, up to the metric's name.
func (s *Sweep) why(ranked []gitops.Run) string {
	what := "the most"
	if s.Spec.Goal == "min" {
		what = "the least"
	}
	if _, told := s.Spec.Value(ranked[0].Metrics); !told {
		return fmt.Sprintf("Of %s this one is the first that succeeded, and none of those told", counted(len(ranked), "trial"))
	}
	return fmt.Sprintf("Of %s this one has %s", counted(len(ranked), "trial"), what)
}

// cells are a trial's, its values in the order of names.
func (s *Sweep) cells(run gitops.Run, names []string, this bool) []string {
	cells := []string{inCell(word(run.Name))}
	if this {
		cells[0] += " **this**"
	}
	for _, name := range names {
		cells = append(cells, inCell(word(run.Trial[name])))
	}
	metric := "–"
	if v, told := s.Spec.Value(run.Metrics); told {
		metric = inCell(number(v))
	}
	return append(cells, metric, inCell(string(run.State)))
}

func row(b *strings.Builder, cells []string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}
