package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/davit-dev/davit/reconciler/cluster"
)

// LogLine is a line that a container of a run wrote.
type LogLine struct {
	At time.Time `json:"at,omitzero"`
	// From is whose it is where several write: "[1]" is the trainer of rank 1.
	From string `json:"from,omitempty"`
	Text string `json:"text"`
}

// longestLine is how many bytes of a line are told.
const longestLine = 4 << 10

// tailLines is how many lines of each container a stream begins with.
const tailLines = 2000

// logLine is one line as pages have it. A terminal's colours are left out.
func logLine(l cluster.LogLine, nodes int) LogLine {
	out := LogLine{At: l.At, Text: l.Text}
	if nodes > 1 {
		out.From = "[" + strconv.Itoa(l.Rank) + "] "
	}
	if l.Container == "publisher" {
		out.From += "[publisher] "
	}
	if i := strings.LastIndexByte(strings.TrimRight(out.Text, "\r"), '\r'); i >= 0 {
		out.Text = out.Text[i+1:] // a progress bar that went back to the line's beginning
	}
	out.Text = plain(withoutColours(out.Text))
	if len(out.Text) > longestLine {
		cut := longestLine
		for cut > 0 && !utf8.RuneStart(out.Text[cut]) {
			cut--
		}
		out.Text = out.Text[:cut] + "…"
	}
	return out
}

// withoutColours leaves out the control sequences of ECMA-48 that begin with ESC [.
func withoutColours(text string) string {
	if !strings.Contains(text, "\x1b[") {
		return text
	}
	var b strings.Builder
	for {
		i := strings.Index(text, "\x1b[")
		if i < 0 {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(text[:i])
		text = strings.TrimLeft(text[i+2:], "0123456789;:?<=>")
		if text != "" {
			text = text[1:]
		}
	}
}

// Cursor is how far the logs of a run were read: the time of the last line of each container.
type Cursor map[string]time.Time

func (c Cursor) take(l cluster.LogLine) {
	if l.At.After(c[l.Source()]) {
		c[l.Source()] = l.At
	}
}

// String is the cursor as the ID of a server-sent event has it: few letters, none of which a header can't have.
func (c Cursor) String() string {
	var all []string
	for source, at := range c {
		all = append(all, source+"="+strconv.FormatInt(at.UnixNano(), 36))
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

// mostSources bounds a cursor that comes from outside.
const mostSources = 1000

// sourceName is what [cluster.LogLine.Source] gives.
var sourceName = regexp.MustCompile(`^[0-9A-Za-z.-]{0,16}$`)

// ParseCursor reads what String wrote.
func ParseCursor(text string) (Cursor, error) {
	c := Cursor{}
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		source, at, ok := strings.Cut(part, "=")
		n, err := strconv.ParseInt(at, 36, 64)
		if !ok || err != nil || !sourceName.MatchString(source) || len(c) == mostSources {
			return nil, errors.New("a place in a log is not written like that")
		}
		c[source] = time.Unix(0, n)
	}
	return c, nil
}

// ErrNoLog says that there is no such run in a cluster, or that its log is not for this viewer.
var ErrNoLog = errors.New("there is no such log, or it is not yours to see")

// ErrPartly says that the run ended, and that not all of its log could be read.
var ErrPartly = errors.New("the run ended, and not all of its log could be read")

// RunLog gives a run's lines after a place, and then each as it is written, until the run ended or ctx did. write is called
// by one goroutine at a time, with the place behind the line.
func (f *Fleet) RunLog(ctx context.Context, v Viewer, name, environment, run string, after Cursor, write func(LogLine, Cursor)) error {
	r := f.of(name)
	if r == nil {
		return ErrNoLog
	}
	l := r.look()
	c, namespace := l.place(environment)
	if c == nil || !v.may(name, environment) || !v.seesLogs(name, environment) {
		return ErrNoLog
	}
	st, err := c.Run(ctx, namespace, run)
	if err != nil {
		return err
	}
	if st == nil || !l.theirs(c, *st) {
		return ErrNoLog
	}
	if after == nil {
		after = Cursor{}
	}
	err = c.RunLines(ctx, namespace, run, cluster.LogQuery{Follow: true, Tail: tailLines, After: maps.Clone(after)}, func(l cluster.LogLine) {
		if after.take(l); !l.Rest {
			write(logLine(l, st.Nodes), after)
		}
	})
	if err == nil || ctx.Err() != nil {
		return err
	}
	if st, asked := c.Run(ctx, namespace, run); asked == nil && (st == nil || st.Phase.Ended()) {
		return fmt.Errorf("%w: %w", ErrPartly, err)
	}
	return err
}

// LogOf finds the environment of a run by its name; "" where there is none that the viewer may see. A name may be that of two
// runs in two environments or models; the newest counts.
func (f *Fleet) LogOf(ctx context.Context, v Viewer, name, run string) (environment string) {
	r := f.of(name)
	if r == nil {
		return ""
	}
	all, _ := r.look().allRuns(ctx, v, f.cfg.Now())
	for _, one := range all {
		if one.Run == run {
			return one.Environment
		}
	}
	return ""
}
