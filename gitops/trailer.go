package gitops

import "strings"

// Trailer is the value of a trailer of the commit's message, as git-interpret-trailers(1) reads them: a line "Name: value"
// of its last paragraph, which lines that begin with a space go on. The name's case is no matter; of several the last
// counts.
func (c Commit) Trailer(name string) (value string, ok bool) {
	last := c.Body
	if i := strings.LastIndex(last, "\n\n"); i >= 0 {
		last = last[i+2:]
	}
	inside := false
	for line := range strings.Lines(last) {
		key, rest, _ := strings.Cut(line, ":")
		switch more := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t"); {
		case more && inside:
			value += " " + strings.TrimSpace(line)
		case more:
		case strings.EqualFold(key, name):
			value, ok, inside = strings.TrimSpace(rest), true, true
		default:
			inside = false
		}
	}
	return strings.TrimSpace(value), ok
}
