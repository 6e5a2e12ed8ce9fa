package made

import (
	"fmt"
	"strings"
	"time"

	"github.com/davit-dev/davit/reconciler/plan"
)

// Removed is a version that its training keeps no more.
type Removed struct {
	Version string
	Path    string // of its file
	Run     string // that made it, and when that ended
	Ended   time.Time
}

// why is the rule by which versions go.
func (m Made) why() string {
	return fmt.Sprintf("The training keeps the newest %d of the versions that it made (keep), and those that something refers to.", m.Keep)
}

// removedText says in plain text what goes with the commit.
func (m Made) removedText(b *strings.Builder) {
	if len(m.Removed) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\nIt removes:\n\n", m.why())
	for _, v := range m.Removed {
		fmt.Fprintf(b, "    %s, of %s\n", word(v.Version), v.Ended.UTC().Format(time.DateOnly))
	}
}

// removedList says in Markdown what goes with the pull request.
func (m Made) removedList(b *strings.Builder) {
	if len(m.Removed) == 0 {
		return
	}
	fmt.Fprintf(b, "\n**Removed**\n\n%s Their images stay in the OCI registry.\n\n", m.why())
	for _, v := range m.Removed {
		fmt.Fprintf(b, "- %s, which run %s made until %s\n", plan.Code(v.Version), plan.Code(v.Run), v.Ended.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
}
