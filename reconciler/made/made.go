package made

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
)

// The trailers of a commit that adds what a run made.
const (
	RunTrailer      = "Davit-Run"      // the run's name
	TrainingTrailer = "Davit-Training" // model/name
	VersionTrailer  = "Davit-Version"  // model@version
)

// Made is a version that a run made, before the registry has it. All fields but the last three are needed; methods change nothing and may be
// called concurrently.
type Made struct {
	// Training is what the run was made of: that of the run's commit.
	Training *registry.Training
	// Run is the ledger's, Result what the publisher left.
	Run    gitops.Run
	Result image.RunResult
	// Version is the name that the version is to have.
	Version string
	// Sweep is what the run is the best of; nil for a run that is no trial.
	Sweep *Sweep
	// Removed are the versions that go with it, for Keep of those that the training made stay; none when empty.
	Removed []Removed
	Keep    int
}

// String is "model@version".
func (m Made) String() string { return m.Training.Model + "@" + m.Version }

// Branch is the one that the version is proposed on.
func (m Made) Branch() string { return "davit/train/" + m.Training.Model + "/" + m.Version }

// Path is where the version's file lies: in the model's folder, which may be a team's.
func (m Made) Path() string {
	return path.Join(path.Dir(path.Dir(m.Training.Path)), "versions", m.Version+".yaml")
}

// File is the version's file, which registry.Load finds no fault in. An error is a name that no version may have, or a
// result that no version can be made of: the same result gives it again.
func (m Made) File() (name string, text []byte, err error) {
	if err := registry.CheckName("version", m.Version); err != nil {
		return "", nil, fmt.Errorf("making a version of run %s: %w", m.Run.Name, err)
	}
	if hex, ok := strings.CutPrefix(m.Result.Digest, "sha256:"); !ok || len(hex) != 64 || strings.Trim(hex, "0123456789abcdef") != "" {
		return "", nil, fmt.Errorf("making a version of run %s: its image's digest %q is not sha256: and 64 hex digits", m.Run.Name, m.Result.Digest)
	}
	if text, err = registry.VersionText(m.Path(), m.spec()); err != nil {
		return "", nil, fmt.Errorf("making a version of run %s: %w", m.Run.Name, err)
	}
	return m.Path(), text, nil
}

// spec is what the run's result says, with the image as the files' only source. Of where it comes from the trainer has no
// say: that is the spec's and the ledger's.
func (m Made) spec() registry.ModelVersionSpec {
	s := m.Result.Version
	s.Files = slices.Clone(s.Files)
	for i := range s.Files {
		s.Files[i].Source = "oci://" + m.Training.Images + "/" + m.Training.Model + "@" + m.Result.Digest + "/" + s.Files[i].Path
	}
	s.Datasets = m.Training.Datasets()
	s.Lineage = registry.Lineage{TrainedBy: m.Run.Name, BaseVersion: m.base(), Commit: m.Run.Commit}
	return s
}

// base is "model@version", or "" when the training begins from scratch.
func (m Made) base() string {
	if m.Training.BaseVersion == nil {
		return ""
	}
	return m.Training.BaseVersion.String()
}

// Title is the commit's subject, and the pull request's title: of names alone, which the registry has checked.
func (m Made) Title() string {
	return fmt.Sprintf("%s: %s, trained by %s", m.Training.Model, m.Version, m.Training.Key())
}

// Message is that of the commit which adds the version: the metrics in plain text, and the trailers.
func (m Made) Message() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", m.Title())
	if metrics := m.Result.Version.Metrics; len(metrics) > 0 {
		tab := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		names := slices.Sorted(maps.Keys(metrics))
		for _, name := range names[:min(len(names), maxMetrics)] {
			fmt.Fprintf(tab, "    %s\t%s\n", word(name), number(metrics[name]))
		}
		_ = tab.Flush() // to memory
		if n := len(names) - maxMetrics; n > 0 {
			fmt.Fprintf(&b, "    and %d more\n", n)
		}
	} else {
		b.WriteString("The run told no metrics.\n")
	}
	m.removedText(&b)
	fmt.Fprintf(&b, "\n%s: %s\n%s: %s\n%s: %s\n", RunTrailer, word(m.Run.Name), TrainingTrailer, m.Training.Key(), VersionTrailer, m)
	return b.String()
}

// maxMetrics bounds a table: a trainer may tell thousands.
const maxMetrics = 50

// maxWord bounds a name that a trainer chose.
const maxWord = 100

// word is a text on one line, in which nothing begins a paragraph or moves a terminal's cursor.
func word(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return '�'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > maxWord {
		s = string(r[:maxWord]) + "…"
	}
	return s
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
